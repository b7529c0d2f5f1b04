"""The sink: owns the output file, which appears whole or not at all."""

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from hambatch.atomic import replacing
from hambatch.batches import Row
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

Write = Callable[[Row], None]


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
def open_sink(path: Path, kind: str) -> Iterator[Write]:
    """Yield a function that writes rows; ``path`` appears when the block ends well.

    Raises
    ------
    InputError
        If the folder cannot be written to.
    """
    header, cells = FORMATS[kind]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = _writer(stream)
        writer.writerow(header)
        yield lambda row: writer.writerow(cells(row))
        stream.flush()


def _writer(stream: IO[str]) -> Any:
    return csv.writer(stream, lineterminator="\n")
