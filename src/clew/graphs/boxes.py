"""The boxes of a picture: what stands in them, how wide they are, how they look on light and on dark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.sax.saxutils import escape, quoteattr

import msgspec

from clew import codec
from clew.graphs.body_data import group_of
from clew.graphs.handles import tell
from clew.kernel.definition import NodeSpec
from clew.kernel.values import Binding, Expression, Literal

#: Pixels: the height of a box, the least distance of two in a column, the rim of a picture, the rim in a box.
BOX = 44.0
GAP = 18.0
MARGIN = 20.0
PADDING = 14.0
_LONGEST = 30
_ID_CHAR = 7.9
#: Width of a letter in small print, and how much the corners of six-cornered boxes lie inwards, in pixels.
NOTE_CHAR, CUT = 6.2, 11.0

#: Fill, border and text of a node by its state: on light, on dark.
COLOURS: dict[str, tuple[tuple[str, str, str], tuple[str, str, str]]] = {
    "pending": (("#ffffff", "#c3c8d1", "#2b3040"), ("#1d2129", "#3c4454", "#d9dde6")),
    "ready": (("#f2f6ff", "#9db7f0", "#22366b"), ("#1c2436", "#4a66a8", "#c6d5f8")),
    "running": (("#dbe8ff", "#3b76e8", "#10306e"), ("#1b3260", "#5b93f5", "#e2ecff")),
    "stopping": (("#fdf0da", "#d99a2b", "#5e4109"), ("#43330f", "#c98f2a", "#fbe9c6")),
    "waiting": (("#f4ecff", "#a178e0", "#43246f"), ("#33244d", "#9a74d6", "#e8dbfb")),
    "retrying": (("#fdf0da", "#d99a2b", "#5e4109"), ("#43330f", "#c98f2a", "#fbe9c6")),
    "completed": (("#e2f5e7", "#48a868", "#14452a"), ("#173a26", "#46a368", "#d3f2de")),
    "failed": (("#fde5e4", "#d9534f", "#6b1613"), ("#4a1c1b", "#e0655f", "#fbdcda")),
    "skipped": (("#f5f5f5", "#bdbdbd", "#8a8a8a"), ("#22252b", "#50545c", "#8b909a")),
    "cancelled": (("#f5f5f5", "#bdbdbd", "#8a8a8a"), ("#22252b", "#50545c", "#8b909a")),
}


def picture(name: str, width: float, height: float, style: str, parts: Iterable[str]) -> str:
    """An SVG document of these parts."""
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    label = quoteattr(f"graph {name}")
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label={label}>'
    return "\n".join([opening, f"<title>{escape(name)}</title>", f"<style>{style}</style>", *parts, "</svg>", ""])


def note(node: NodeSpec) -> str:
    """The second line of a box: what the node does, where that is not what its id says."""
    what = {"function": _function_name(node.body), "graph": f"graph {node.graph.name}" if node.graph else "graph"}
    group = group_of(node)
    told = f"{group.role}: {group.label}" if group.role else what.get(node.kind, node.kind)
    if told == node.id:
        told = ""
    return f"each: {told or node.id}" if node.map is not None else told


def shortened(text: str) -> str:
    """As much of a text as a box has room for."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def text_width(node: NodeSpec) -> float:
    """The room that the texts of a box need, in pixels."""
    return max(56.0, len(shortened(node.id)) * _ID_CHAR, len(shortened(note(node))) * NOTE_CHAR)


def box(node: NodeSpec, x: float, y: float, width: float, state: str, height: float = BOX) -> str:
    """The box of a node: a stack for a map, a double rim for a sub-graph, six corners for a wait for a decision.

    Args:
        node: its definition.
        x: its left edge.
        y: its middle.
        width: of it.
        state: of the node; empty if it is not known.
        height: of it.
    """
    top = y - height / 2
    second = note(node)
    rect = f'width="{width:.1f}" height="{height:.0f}" rx="9"'
    parts = [f'<g class="node {escape(state or "pending")}">', f"<title>{escape(_tooltip(node, state))}</title>"]
    if node.map is not None:
        parts += [f'<rect class="behind" x="{x + d:.1f}" y="{top - d:.1f}" {rect}/>' for d in (6.0, 3.0)]
    if node.barrier is not None:
        parts.append(_six_corners(x, top, width, height))
    else:
        parts.append(f'<rect x="{x:.1f}" y="{top:.1f}" {rect}/>')
    if node.kind == "graph":
        parts.append(
            f'<rect class="inner" x="{x + 3.5:.1f}" y="{top + 3.5:.1f}" width="{width - 7:.1f}" '
            f'height="{height - 7:.0f}" rx="6"/>'
        )
    middle = x + width / 2
    parts.append(
        f'<text x="{middle:.1f}" y="{y + (-2.5 if second else 4.5):.1f}">{escape(shortened(node.id))}</text>'
    )
    if second:
        parts.append(f'<text class="note" x="{middle:.1f}" y="{y + 12.5:.1f}">{escape(shortened(second))}</text>')
    return "".join([*parts, "</g>"])


def _six_corners(x: float, top: float, width: float, height: float) -> str:
    cut, right, bottom, middle = CUT, x + width, top + height, top + height / 2
    corners = (
        (x, middle), (x + cut, top), (right - cut, top), (right, middle), (right - cut, bottom), (x + cut, bottom),
    )  # fmt: skip
    return f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}"/>'


def _tooltip(node: NodeSpec, state: str) -> str:
    facts = [node.id + (f": {state}" if state else ""), f"{node.kind} {note(node)}".strip()]
    if node.barrier is not None:
        facts[1:] = [f"waits for a decision: {node.barrier.text}".removesuffix(": ")]
        if node.barrier.timeout_s is not None:
            facts.append(f"{node.barrier.default} after {node.barrier.timeout_s:g} s")
    if node.max_visits is not None:
        facts.append(f"entered {node.max_visits} times at most")
    if node.retry.max_attempts > 1:
        facts.append(f"up to {node.retry.max_attempts} attempts")
    if node.timeout_s is not None:
        facts.append(f"{node.timeout_s:g} s for an attempt")
    if node.heartbeat_s is not None:
        facts.append(f"{node.heartbeat_s:g} s of silence at most")
    if node.probe:
        facts.append(f"asks {_function_name(node.probe)} after an interruption")
    if node.exclusive is not None:
        facts.append(f"one at a time of {_key(node.exclusive)}")
    facts += [f"uses {units} of {name}" for name, units in node.uses.items()]
    return "\n".join(facts)


def style(states: Iterable[str], more: tuple[str, str] = ("", "")) -> str:
    """The style sheet of a picture: what all have, the states that are shown, and more on light and on dark."""
    used = sorted({*states})
    light = "".join(_rule(state, 0) for state in used)
    dark = "".join(_rule(state, 1) for state in used)
    return (
        "text{font:600 13px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;"
        "text-anchor:middle}"
        ".note{font-weight:400;font-size:10.5px;opacity:.72}"
        ".node rect,.node polygon{stroke-width:1.4}"
        ".inner{fill:none!important;stroke-width:1!important;opacity:.55}"
        ".edges path{fill:none;stroke:#9aa3b2;stroke-width:1.5;stroke-linecap:round}"
        f"{more[0]}{light}"
        f"@media(prefers-color-scheme:dark){{.edges path{{stroke:#5d6779}}{more[1]}{dark}}}"
    )


def state_of(states: Mapping[str, str] | None, node: str) -> str:
    """The state of a node; empty if it is not known."""
    return (states or {}).get(node, "")


def _rule(state: str, theme: int) -> str:
    fill, border, text = COLOURS.get(state, COLOURS["pending"])[theme]
    return f".{state} rect,.{state} polygon{{fill:{fill};stroke:{border}}}.{state} text{{fill:{text}}}"


def _key(binding: Binding) -> str:
    """An exclusive key as it was written."""
    match binding:
        case Expression(source=source):
            return source
        case Literal(json=json):
            return codec.decode(json, str)
        case _:
            return tell(binding)


def _function_name(function: msgspec.Raw) -> str:
    body = msgspec.json.decode(function)
    return str(body.get("ref", "")).partition(":")[2].partition("@")[0].replace("<locals>.", "")
