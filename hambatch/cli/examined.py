"""Progress of `hambatch doctor`; nothing that may be broken is imported for it."""

import sys
from collections.abc import Iterable, Iterator

from hambatch.doctor.examine import Look


def show_examined(looks: Iterable[Look], total: int) -> Iterator[Look]:
    """Pass looks through as they are done; silent off a terminal."""
    from tqdm import tqdm

    yield from tqdm(
        looks,
        total=total,
        desc="trying every package, some seconds",
        unit=" groups",
        disable=not sys.stderr.isatty(),
        leave=False,
    )
