"""Clew beside its floors: `python -m benchmarks`. What is measured and how is told in docs/benchmarks.md."""
