"""The analysis behind `examples/audit`: plain functions over values that can be stored.

Nothing in this package knows Clew. `graph.py`, one folder up, strings these functions together.
"""
