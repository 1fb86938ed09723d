"""Performs bodies: finds what a StartAttempt means, brings its inputs, and turns what happens into a signal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clew.bodies.errors import error_info
from clew.engine.context import BodyContext
from clew.engine.feed import Ephemeral, Output
from clew.engine.inputs import store
from clew.engine.logbook import Page
from clew.engine.workshop import Workshop
from clew.journal.records import Blob, LogLine
from clew.kernel import commands as c
from clew.kernel import signals as s
from clew.kernel.values import ErrorInfo, Value

_LOG = logging.getLogger("clew.engine")

#: A body that was told to stop and has not after so many seconds is cut off from its run.
STOP_PATIENCE_S = 5.0
