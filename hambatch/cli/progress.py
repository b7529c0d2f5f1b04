"""Progress on stderr: images, images/s, time left, failures; silent off a terminal."""

import sys
from collections.abc import Iterable, Iterator

from hambatch.batches import Row


def show_rows(rows: Iterable[Row], total: int) -> Iterator[Row]:
    """Pass rows through, showing how many of ``total`` went by."""
    from tqdm import tqdm

    failed = 0
    with tqdm(total=total, unit=" images", disable=not sys.stderr.isatty(), mininterval=0.2) as bar:
        for row in rows:
            yield row
            if row.status == "failed":
                failed += 1
                bar.set_postfix(failed=failed, refresh=False)
            bar.update()
