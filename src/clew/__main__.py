"""``python -m clew`` is the program `clew`."""

from __future__ import annotations

from clew.cli.main import main

if __name__ == "__main__":
    main()
