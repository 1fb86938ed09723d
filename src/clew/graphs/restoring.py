"""Files that a rollback puts back: ``graph.add(edit, path, compensate=restore("{{ path }}"))``."""

from __future__ import annotations

from clew.errors import InvalidInputError
from clew.graphs.bodies import Description
from clew.graphs.body_data import RestoreBody
from clew.graphs.handles import Handle

#: Files, links and folders that one compensation can put back.
MAX_PATHS = 100


def restore(*paths: str | Handle) -> Description:
    """Describe files that are put back as they were before a node, to be its compensation.

    Before the body of the node is entered for the first time, what is at the paths is recorded durably: the
    content of a file and its mode, where a link leads, all of a folder, or that there is nothing. In a rollback,
    exactly that is put back.

    Args:
        *paths: of files, links and folders, in the folder of the engine if they are relative; text may hold
            expressions, which name inputs of the node.

    Raises:
        InvalidInputError: there is no path, or one is none.
    """
    if not 0 < len(paths) <= MAX_PATHS:
        raise InvalidInputError(f"restore: 1 to {MAX_PATHS} paths are needed, not {len(paths)}; name their folder")
    for path in paths:
        if not isinstance(path, Handle) and (not isinstance(path, str) or not path.strip()):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"restore: a path is text, not {path!r:.80}")
    return Description(kind="restore", body=RestoreBody(), inputs={"paths": list(paths)})
