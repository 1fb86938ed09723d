"""Functions that say whether something holds before a step."""


def is_new(version: str, known: str = "1.0") -> bool | str:
    """Say why not."""
    return version != known or f"version {version} is out already"


async def never() -> bool:
    """Hold never."""
    return False


def breaks() -> None:
    """Fail."""
    raise PermissionError("not for you")
