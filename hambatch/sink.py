"""The sink: owns the output file, which appears whole or not at all."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hambatch.atomic import as_json, refusing, replacing
from hambatch.batches import Row
from hambatch.hashing import sha256_of_file
from hambatch.labels import CLASSES, ISIC_COLUMNS
from hambatch.names import encode_name
from hambatch.probabilities import DECIMALS

COLUMNS: tuple[str, ...] = (
    "image",
    "status",
    "prediction",
    "confidence",
    *(f"p_{name}" for name in CLASSES),
    "p_malignant",
    "decoder",
    "backend",
    "sha256",
    "reason",
)


@dataclass(frozen=True)
class Outputs:
    """What a run writes: rows, and at the end a record that is given the table's sha256."""

    write: Callable[[Row], None]
    finish: Callable[[Callable[[str], dict[str, Any]]], None]


def _number(value: float) -> str:
    return f"{value:.{DECIMALS}f}"


def csv_cells(row: Row) -> list[str]:
    """One row of the table; a failed image has empty predictions."""
    numbers = [_number(p) for p in row.probabilities] or [""] * len(CLASSES)
    scored = bool(row.probabilities)
    return [
        encode_name(row.image),
        row.status,
        row.prediction,
        _number(max(row.probabilities)) if scored else "",
        *numbers,
        _number(row.malignant) if scored else "",
        row.decoder,
        row.backend,
        row.sha256,
        row.reason,
    ]


def isic_cells(row: Row) -> list[str]:
    """One row of the ISIC 2018 Task 3 submission: image id, seven probabilities."""
    by_class = dict(zip(CLASSES, row.probabilities, strict=bool(row.probabilities)))
    image_id = encode_name(row.image.rpartition("/")[2]).rpartition(".")
    numbers = (by_class.get(name.lower()) for name in ISIC_COLUMNS)
    return [image_id[0] or image_id[2], *("" if n is None else _number(n) for n in numbers)]


FORMATS: dict[str, tuple[tuple[str, ...], Callable[[Row], list[str]]]] = {
    "csv": (COLUMNS, csv_cells),
    "isic": (("image", *ISIC_COLUMNS), isic_cells),
}
"""Format name to its header and its cells."""


@contextmanager
def open_outputs(path: Path, kind: str, record: Path) -> Iterator[Outputs]:
    """Open a table and the record beside it; both appear when the block ends well.

    Raises
    ------
    InputError
        If either cannot be written: the folder, the disk or the name refuses.
    """
    header, cells = FORMATS[kind]
    with replacing(record) as staged_record, replacing(path) as staged:
        stream = staged.open("w", encoding="utf-8", newline="")
        writer = csv.writer(stream, lineterminator="\n")

        def write(row: Row) -> None:
            with refusing(path):
                writer.writerow(cells(row))

        def finish(describe: Callable[[str], dict[str, Any]]) -> None:
            with refusing(path):
                stream.flush()
                text = as_json(describe(sha256_of_file(staged)))
                staged_record.write_text(text, encoding="utf-8")

        writer.writerow(header)
        try:
            yield Outputs(write, finish)
        finally:
            # What counts was flushed by `finish`; a full disk would only complain once more.
            with suppress(OSError):
                stream.close()
