"""The pure machine that decides: signals in, events and commands out.

Nothing here performs anything. No clock (the time comes with each call), no asyncio, no randomness, no
files, no database: a run can be replayed on paper. Read `machine` first.
"""
