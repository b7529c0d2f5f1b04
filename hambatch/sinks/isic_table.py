"""The submission to ISIC 2018 Task 3: image id and seven probabilities."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn

from hambatch.engines.classes import ISIC_COLUMNS
from hambatch.sinks.columns import Value, record_of, submission
from hambatch.sinks.csv_table import open_csv
from hambatch.system.text import encode_name, image_id_of
from hambatch.types import Row


def open_table(path: Path) -> AbstractContextManager[Callable[[Row], None]]:
    """Write rows, of a failed image the id alone; raises OSError when the file system refuses."""
    return open_csv(path, ("image", *ISIC_COLUMNS), _values)


def _values(row: Row) -> Iterator[Value]:
    record = record_of(row)
    yield _image_id(row.image)
    yield from (record[f"p_{name.lower()}"] for name in ISIC_COLUMNS)


def _image_id(name: str) -> str:
    return image_id_of(encode_name(name))


def repeated_ids(names: Iterable[str]) -> list[str]:
    """Find what a submission cannot hold: ids of several images, sorted.

    Memory grows with the number of images, by one id each.
    """
    seen: set[str] = set()
    repeated: set[str] = set()
    for one in map(_image_id, names):
        (repeated if one in seen else seen).add(one)
    return sorted(repeated)


def read_records(path: Path, wanted: Sequence[str]) -> NoReturn:
    """Raise MalformedTable: a submission holds too little for a row."""
    del path, wanted
    raise submission()
