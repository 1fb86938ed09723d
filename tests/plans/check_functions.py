"""Functions that say whether something holds before a step."""

import time


def is_new(version: str, known: str = "1.0") -> bool | str:
    """Say why not."""
    return version != known or f"version {version} is out already"


async def never() -> bool:
    """Hold never."""
    return False


def breaks() -> None:
    """Fail."""
    raise PermissionError("not for you")


def takes_time(seconds: float = 1.0) -> bool:
    """Hold, after some processor time."""
    start = time.process_time()
    while time.process_time() - start < seconds:
        pass
    return True
