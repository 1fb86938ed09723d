"""Graphs: what people define, in Python or in files; checked, hashed and drawn before anything runs."""

from __future__ import annotations

from clew.graphs.bodies import FunctionBody, HttpBody, ShellBody, http, shell
from clew.graphs.graph import Graph
from clew.graphs.handles import Handle, item
from clew.graphs.layers import execution_batches
from clew.graphs.loading import load
from clew.graphs.policies import Retry, exponential, fixed, linear, node

__all__ = [
    "FunctionBody",
    "Graph",
    "Handle",
    "HttpBody",
    "Retry",
    "ShellBody",
    "execution_batches",
    "exponential",
    "fixed",
    "http",
    "item",
    "linear",
    "load",
    "node",
    "shell",
]
