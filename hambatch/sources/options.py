"""Defaults of how sources are looked through."""

MAX_RATIO = 200.0
"""How many bytes a byte of an archive may stand for: pictures are compressed already."""
