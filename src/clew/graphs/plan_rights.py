"""What a plan grants steps that call no tool: programs, requests, functions. Of tools, `plans.rights` knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from clew.graphs.bodies import Description, holds_expression, name_of
from clew.graphs.body_data import HttpBody, ShellBody
from clew.graphs.drafts import GraphDraft
from clew.graphs.permissions import PLACES, Permissions, excess, listed_places, may_connect

_PORTS = {"http": 80, "https": 443}
_FUNCTION = (
    "a function can do what this program can, and the plan grants its steps less; call it as a tool, which is "
    "held to what the plan grants, or leave the permissions of the plan out"
)


def right_problems(graph: GraphDraft) -> Iterator[str]:
    """What steps of a plan may do beyond what it grants; tools are looked at when a step is written."""
    if graph.plan is None or graph.plan.permissions is None:
        return
    grants = graph.plan.permissions
    for draft in graph.nodes:
        how = draft.options.undoing
        for about, body in (("", draft.body), ("compensate", how.body if how is not None else None)):
            for field, sentence in _beyond(body, grants):
                yield draft.tell(".".join(filter(None, (about, field))), sentence)


def held_to_grants(body: msgspec.Struct, grants: Permissions) -> msgspec.Struct:
    """A program or a request with no more rights than a plan grants; those that it does not name are granted."""
    if isinstance(body, HttpBody):
        return msgspec.structs.replace(body, network=grants.network)
    if not isinstance(body, ShellBody):
        return body
    own = body.permissions or Permissions(network=None)
    less = {name: getattr(grants, name) for name in PLACES if getattr(own, name) is None}
    held = msgspec.structs.replace(own, **less)
    is_held = any(getattr(held, name) is not None for name in PLACES)
    return msgspec.structs.replace(body, permissions=held if is_held else None)


def _beyond(body: Any, grants: Permissions) -> Iterator[tuple[str, str]]:
    if not isinstance(body, Description):
        if callable(body) and not name_of(body)[0].startswith("clew."):
            yield "run", _FUNCTION
        return
    if isinstance(body.body, ShellBody):
        if not grants.shell:
            yield "", "it starts a program, which the plan does not grant; add shell to its permissions"
        own = held_to_grants(body.body, grants)
        assert isinstance(own, ShellBody)
        for field, place in excess(grants, own.permissions or grants):
            what = "connect to" if field == "network" else field
            some = listed_places(getattr(grants, field))
            yield field, f"the program may {what} {place}, and the plan grants {some}; narrow it, or grant it"
    url = body.inputs.get("url")
    if isinstance(body.body, HttpBody) and isinstance(url, str) and not holds_expression(url):
        where = urlsplit(url)
        if not may_connect(grants.network, where.hostname or "", where.port or _PORTS.get(where.scheme, 0)):
            some = listed_places(grants.network)
            yield "url", f"it goes to {where.netloc}, and the plan grants {some}; add it to the network it grants"
