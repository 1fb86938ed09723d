"""What attempts have used and how far runs are, in words; only what is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from clew.cli.words import amount, count, duration, percent, plain, roughly
from clew.engine.progress import Progress

_TOLD: dict[str, Callable[[float], str]] = {
    "cpu_s": lambda value: f"{duration(value)} CPU",
    "peak_memory_bytes": lambda value: f"{amount(round(value))} peak memory",
    "read_bytes": lambda value: f"{amount(round(value))} read",
    "written_bytes": lambda value: f"{amount(round(value))} written",
    "read_ops": lambda value: count(round(value), "read"),
    "write_ops": lambda value: count(round(value), "write"),
    "network_requests": lambda value: count(round(value), "request"),
    "tool_invocations": lambda value: count(round(value), "tool call"),
}


def told_usage(used: Mapping[str, float]) -> str:
    """``1.2 s CPU, 34.1 MB peak memory, 2 tool calls``; empty if nothing was measured."""
    known = [tell(used[name]) for name, tell in _TOLD.items() if name in used]
    others = [f"{plain(name)}={value:g}" for name, value in used.items() if name not in _TOLD]
    return ", ".join([*known, *others])


def told_briefly(used: Mapping[str, float]) -> str:
    """The same in few words, for one row of many."""
    brief = {name: used[name] for name in ("cpu_s", "peak_memory_bytes", "tool_invocations") if name in used}
    return told_usage(brief).replace(" peak memory", "")


def told_progress(progress: Progress) -> str:
    """``42 % done, about 3 min left; under way: fetch, draw[3]``; empty if nothing is known."""
    told = [f"{percent(round(1_000 * progress.fraction), 1_000)} done"] if progress.fraction is not None else []
    told += [f"{roughly(progress.left_s)} left"] if progress.left_s is not None else []
    current = ", ".join(map(plain, progress.current))
    return "; ".join(filter(None, [", ".join(told), f"under way: {current}" if current and told else ""]))
