"""Options of `hambatch evaluate` that say how leaks are looked for."""

from dataclasses import dataclass
from pathlib import Path

NONE = "none"
"""``engine`` for predictions of a network that is no engine."""


@dataclass(frozen=True)
class LeakOptions:
    """How evaluated images are compared with those that the engine was trained on.

    ``data`` is the split table of the training; ``engine`` made predictions that have no record;
    ``images`` are the sources of the evaluated images; with ``exclude_trained`` images that were
    trained on are left out, else they stop the command.
    """

    data: Path | None = None
    engine: str | None = None
    images: tuple[Path, ...] = ()
    exclude_trained: bool = False


DEFAULTS = LeakOptions()
