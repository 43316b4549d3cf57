"""Measure Easel against named peers in the same run: ``python -m tools.bench NAME``."""
