"""The submission to ISIC 2018 Task 3: image id and seven probabilities."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from hambatch.batches import Row
from hambatch.labels import ISIC_COLUMNS
from hambatch.names import encode_name
from hambatch.tables.columns import record_of
from hambatch.tables.csv_table import cell
from hambatch.tables.malformed import MalformedTable
from hambatch.tables.streams import closed_at_the_end


@contextmanager
def open_table(path: Path) -> Iterator[Callable[[Row], None]]:
    """Write rows; raises OSError when the file system refuses."""
    with closed_at_the_end(path.open("w", encoding="utf-8", newline="")) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("image", *ISIC_COLUMNS))
        yield lambda row: writer.writerow(cells(row))


def cells(row: Row) -> list[str]:
    """One row of the submission; a failed image has no numbers.

    The image id is the file name without folders and suffix.
    """
    record = record_of(row)
    before, _, after = row.image.rpartition("/")[2].rpartition(".")
    numbers = (record[f"p_{name.lower()}"] for name in ISIC_COLUMNS)
    return [encode_name(before or after), *map(cell, numbers)]


def read_records(path: Path, wanted: Sequence[str]) -> NoReturn:
    """Refuse: a submission holds too little for a row.

    Raises
    ------
    MalformedTable
        Always.
    """
    del path, wanted
    raise MalformedTable(
        "an ISIC submission, which has neither folders, status nor sha256",
        "a table written by hambatch score --format csv, jsonl or parquet",
    )
