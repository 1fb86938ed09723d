"""The work behind `examples/article`: plain functions over values that can be stored.

Nothing in this package knows Clew. `articles.py`, one folder up, strings these functions together.
"""
