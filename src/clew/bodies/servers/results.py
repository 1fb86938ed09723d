"""What a call of a tool of a server returns.

The structured content of its answer, if there is any. Otherwise the text of it, if there is nothing else in it: of
several pieces of text each begins on a line of its own. Otherwise (pictures, sounds, links, files) the list of its
pieces as the protocol has them: ``{"type": "image", "data": Base64, "mimeType": ...}``. Of an empty answer None.
"""

from __future__ import annotations

from typing import Any

import mcp_types as types


def output_of(result: types.CallToolResult) -> Any:
    """What the node returns, as plain data."""
    if "structured_content" in result.model_fields_set and result.structured_content is not None:
        return result.structured_content
    if not result.content:
        return None
    texts = texts_of(result)
    if len(texts) == len(result.content):
        return "\n".join(texts)
    return [piece.model_dump(mode="json", by_alias=True, exclude_none=True) for piece in result.content]


def texts_of(result: types.CallToolResult) -> list[str]:
    """The pieces of text of an answer."""
    return [piece.text for piece in result.content if isinstance(piece, types.TextContent)]
