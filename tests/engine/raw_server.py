"""A server of tools by hand, which starts at once and can do what no good one does; on its standard streams.

It knows the edition of the protocol that greets by ``initialize``. Its arguments: what it does that is wrong.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
NAMES = [
    *(
        "echo",
        "told",
        "structured",
        "pieces",
        "empty",
        "refuse",
        "error",
        "who",
        "variable",
        "junk",
        "huge",
        "deep",
    ),
    *("unlike", "deaf", "die", "hang", "steps", "change"),
]


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def text(said: str, **more: Any) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}], **more}


def listed(cursor: str | None) -> dict[str, Any]:
    """Half of the tools, and where the other half is."""
    half = len(NAMES) // 2
    names = NAMES[half:] if cursor == "more" else NAMES[:half]
    tools: list[dict[str, Any]] = [
        {
            "name": name,
            "description": f"Does {name}.",
            "inputSchema": TEXT if name == "echo" else {"type": "object"},
        }
        for name in names
    ]
    for tool in tools:
        if tool["name"] == "unlike":
            tool["outputSchema"] = {"type": "object", "required": ["a"]}
    if "endless" in sys.argv:
        return {"tools": tools, "nextCursor": f"{cursor or ''}x"[:5]}
    return {"tools": tools} if cursor == "more" else {"tools": tools, "nextCursor": "more"}


def called(number: Any, name: str, given: dict[str, Any]) -> dict[str, Any] | None:
    match name:
        case "echo":
            return text(given["text"])
        case "told":
            return {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
        case "structured":
            return text("not this", structuredContent={"a": [1, None, 2.5, "é"]})
        case "pieces":
            link = {"type": "resource_link", "name": "n", "uri": "file:///n"}
            return {"content": [{"type": "text", "text": "a"}, link]}
        case "empty":
            return {"content": []}
        case "refuse":
            return text("there is no more", isError=True)
        case "who":
            return text(str(os.getpid()))
        case "variable":
            return text(os.environ.get(given["name"], "(none)"))
        case "junk":
            return {"content": 3}
        case "huge":
            return text("x" * given["size"])
        case "deep":
            return text("", structuredContent={"a": json.loads("[" * given["size"] + "]" * given["size"])})
        case "unlike":
            return text("", structuredContent={"b": 1})
        case "change":
            NAMES.append("new")
            say({"method": "notifications/tools/list_changed"})
            return text("changed")
        case "new":
            return text("new")
        case _:
            return spoilt(number, name, given)


def spoilt(number: Any, name: str, given: dict[str, Any]) -> dict[str, Any] | None:
    match name:
        case "error":
            say({"id": number, "error": {"code": given["code"], "message": "no"}})
        case "die":
            if not Path(given["unless"]).exists():
                Path(given["unless"]).touch()
                sys.stderr.write("oh dear\n")
                sys.stderr.flush()
                os._exit(3)
            return text("alive")
        case "steps":
            Path(given["door"]).read_text()
            for done in (1, 2):
                progress = {
                    "progressToken": given["token"],
                    "progress": done,
                    "total": 4,
                    "message": f"step {done}",
                }
                say({"method": "notifications/progress", "params": progress})
            return text("done")
        case "deaf":
            Path(given["door"]).read_text()
        case "hang":
            Path(given["folder"], "begun").touch()
    return None


def main() -> None:
    if "strays" in sys.argv:
        print("Welcome to the server!", flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        method, number, params = message["method"], message.get("id"), message.get("params", {})
        if method == "initialize":
            about = {"name": "raw", "version": "1"}
            capabilities: dict[str, Any] = {} if "toolless" in sys.argv else {"tools": {"listChanged": True}}
            result = {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": about}
            say({"id": number, "result": result})
        elif method == "tools/list":
            say({"id": number, "result": listed(params.get("cursor"))})
        elif method == "tools/call":
            given = {**params.get("arguments", {}), "token": params.get("_meta", {}).get("progressToken")}
            answer = called(number, params["name"], given)
            if answer is not None:
                say({"id": number, "result": answer})
        elif method == "notifications/cancelled" and "FOLDER" in os.environ:
            Path(os.environ["FOLDER"], "cancelled").touch()
        elif number is not None and method != "notifications/cancelled":
            say({"id": number, "error": {"code": -32601, "message": "Method not found"}})


if __name__ == "__main__":
    main()
