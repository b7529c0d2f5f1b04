"""Progress on stderr; silent where stderr is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    # The doctor shows its progress on machines that lack packages which this needs.
    from hambatch.score.runner import Progressed

T = TypeVar("T")


def show_rows(answers: Iterable[Progressed], total: int, done: int) -> Iterator[Progressed]:
    """Pass answers through, showing how many of ``total`` came, ``done`` of them earlier."""
    from tqdm import tqdm

    failed = 0
    with tqdm(
        total=total,
        initial=done,
        unit=" images",
        disable=not sys.stderr.isatty(),
        mininterval=0.2,
    ) as bar:
        for answer in answers:
            yield answer
            if answer.failed:
                failed += answer.failed
                bar.set_postfix(failed=failed, refresh=False)
            bar.update(answer.answered)


def progress(unit: str, label: str | None = None) -> Callable[[Iterable[T], int], Iterator[T]]:
    """Make what passes items through, showing how many of about how many went by."""

    def show(items: Iterable[T], total: int) -> Iterator[T]:
        from tqdm import tqdm

        silent, stays = not sys.stderr.isatty(), label is None
        yield from tqdm(
            items, label, total, stays, unit=f" {unit}", disable=silent, mininterval=0.2
        )

    return show
