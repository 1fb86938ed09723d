"""What makes a graph a plan, while it is being written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from clew.graphs.captures import Captures
from clew.graphs.permissions import Permissions
from clew.graphs.servers import Server
from clew.graphs.tools import Tools

#: What a sub-graph is for people that a plan has made of a step.
Role = Literal["", "choice", "loop"]


@dataclass(slots=True, kw_only=True)
class PlanDraft:
    """What makes a graph a plan, or a part of a step of one.

    Attributes:
        tools: that steps may call.
        permissions: what the plan grants its steps; None is everything.
        folder: where its steps run; empty is where the engine does.
        metadata: what is stored with the definition.
        servers: that have more tools, by name; they are asked when a run starts.
        captures: what it takes from the plan around; None for a plan that stands by itself.
        own: inputs that its texts name without ``input.``: what the body of a loop sees of it.
    """

    tools: Tools
    permissions: Permissions | None = None
    folder: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    servers: Mapping[str, Server] = field(default_factory=dict[str, Server])
    captures: Captures | None = None
    own: tuple[str, ...] = ()
