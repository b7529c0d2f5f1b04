"""Counts as words say them."""


def plural(count: int, thing: str) -> str:
    """Say ``1 stream``, ``2 streams``."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
