"""The submission to ISIC 2018 Task 3: image id and seven probabilities."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from hambatch.engines.classes import ISIC_COLUMNS
from hambatch.sinks.columns import record_of, submission
from hambatch.sinks.csv_table import cell
from hambatch.system.files import closed_at_the_end
from hambatch.system.text import encode_name
from hambatch.types import Row


@contextmanager
def open_table(path: Path) -> Iterator[Callable[[Row], None]]:
    """Write rows; raises OSError when the file system refuses."""
    with closed_at_the_end(path.open("w", encoding="utf-8", newline="")) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("image", *ISIC_COLUMNS))
        yield lambda row: writer.writerow(cells(row))


def cells(row: Row) -> list[str]:
    """One row of the submission; a failed image has no numbers."""
    record = record_of(row)
    numbers = (record[f"p_{name.lower()}"] for name in ISIC_COLUMNS)
    return [image_id(row.image), *map(cell, numbers)]


def image_id(name: str) -> str:
    """Give the file name without folders and suffix, encoded."""
    before, _, after = name.rpartition("/")[2].rpartition(".")
    return encode_name(before or after)


def repeated_ids(names: Iterable[str]) -> list[str]:
    """Find what a submission cannot hold: ids of several images, sorted.

    Memory grows with the number of images, by one id each.
    """
    seen: set[str] = set()
    repeated: set[str] = set()
    for one in map(image_id, names):
        (repeated if one in seen else seen).add(one)
    return sorted(repeated)


def read_records(path: Path, wanted: Sequence[str]) -> NoReturn:
    """Refuse: a submission holds too little for a row.

    Raises
    ------
    MalformedTable
        Always.
    """
    del path, wanted
    raise submission()
