"""The submission to ISIC 2018 Task 3: image id and seven probabilities."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from hambatch.engines.classes import ISIC_COLUMNS
from hambatch.sinks.columns import Value, record_of, submission
from hambatch.sinks.csv_table import open_csv
from hambatch.system.text import encode_name, image_id_of, stem_of
from hambatch.types import Row


def open_table(
    path: Path, carried: Sequence[str] = (), *, checked: bool = True
) -> AbstractContextManager[Callable[[Row], None]]:
    """Write rows, of a failed image the id alone; raises OSError when the file system refuses.

    Carried columns are left out, and those about quality and risk: ISIC's server takes no other
    columns than these.
    """
    del carried
    return open_csv(path, ("image", *ISIC_COLUMNS), _values)


def _values(row: Row) -> Iterator[Value]:
    record = record_of(replace(row, carried=()))
    yield stem_of(encode_name(row.image))
    yield from (record[f"p_{name.lower()}"] for name in ISIC_COLUMNS)


def _image_id(name: str) -> str:
    return image_id_of(encode_name(name))


def repeated_ids(names: Iterable[str]) -> dict[str, list[str]]:
    """Find the ids that several images have, sorted, each with its names, sorted.

    Memory grows with the number of images, by one id each.
    """
    seen: dict[str, str] = {}
    repeated: dict[str, list[str]] = {}
    for name in names:
        image_id = _image_id(name)
        first = seen.setdefault(image_id, name)
        if first is not name:
            repeated.setdefault(image_id, [first]).append(name)
    return {image_id: sorted(repeated[image_id]) for image_id in sorted(repeated)}


class RepeatedId(Exception):
    """Two images of one id were scored, and they differ."""


def without_a_row(repeated: Mapping[str, Sequence[str]], rows: Iterable[Row]) -> set[str]:
    """Choose the images that get no row, so that a submission has one row for every id.

    Of the images of one id the scored one keeps its row; of copies of the same bytes, or where
    all failed, the first. Raises RepeatedId, naming both, if two scored ones differ.
    """
    wanted = {name: image_id for image_id, names in repeated.items() for name in names}
    chosen: dict[str, Row] = {}
    for row in rows:
        image_id = wanted.get(row.image)
        if image_id is None:
            continue
        other = chosen.setdefault(image_id, row)
        if row.status != "ok" or other is row:
            continue
        if other.status != "ok":
            chosen[image_id] = row
        elif other.sha256 != row.sha256:
            names = " and ".join(encode_name(one.image) for one in (other, row))
            raise RepeatedId(f"{image_id} is {names}")
    return wanted.keys() - {row.image for row in chosen.values()}


def read_records(path: Path, wanted: Sequence[str]) -> NoReturn:
    """Raise MalformedTable: a submission holds too little for a row."""
    del path, wanted
    raise submission()
