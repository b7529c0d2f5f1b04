"""Progress on stderr; silent where stderr is no terminal."""

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def progress(unit: str, label: str | None = None) -> Callable[[Iterable[T], int], Iterator[T]]:
    """Make what passes items through, showing how many of about how many went by."""

    def show(items: Iterable[T], total: int) -> Iterator[T]:
        from tqdm import tqdm

        silent, stays = not sys.stderr.isatty(), label is None
        yield from tqdm(
            items, label, total, stays, unit=f" {unit}", disable=silent, mininterval=0.2
        )

    return show
