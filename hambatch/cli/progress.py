"""Progress on stderr; silent where stderr is no terminal."""

import sys
from collections.abc import Iterable, Iterator

from hambatch.checks.doctor.examine import Look
from hambatch.checks.verify.table import Difference
from hambatch.score.runner import Progressed


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


def show_compared(compared: Iterable[Difference | None], total: int) -> Iterator[Difference | None]:
    """Pass comparisons through, showing how many of about ``total`` went by."""
    from tqdm import tqdm

    silent = not sys.stderr.isatty()
    yield from tqdm(compared, total=total, unit=" files", disable=silent, mininterval=0.2)


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
