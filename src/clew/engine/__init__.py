"""Drives runs: the only place with an event loop and a clock. Read `driver` first, then `engine`."""
