"""Tools that plans in files name."""

from clew import Tools, tool


@tool(effects="none")
def shout(text: str, times: int = 1) -> str:
    """Say a text loudly."""
    return text.upper() * times


@tool(effects="none")
def size(text: str) -> int:
    """Count the letters of a text."""
    return len(text)


def plus(left: float, right: float = 1) -> float:
    """Add two numbers."""
    return left + right


def broken(text: str) -> str:
    """Fail."""
    raise ConnectionResetError(text)


MORE = Tools(plus)
