"""The columns of the table, and the values of one row in them."""

from hambatch.batches import Row
from hambatch.labels import CLASSES
from hambatch.names import encode_name
from hambatch.probabilities import DECIMALS

PROBABILITIES: tuple[str, ...] = tuple(f"p_{name}" for name in CLASSES)

NUMBERS: tuple[str, ...] = ("confidence", *PROBABILITIES, "p_malignant")
"""Columns of probabilities; all others hold text."""

COLUMNS: tuple[str, ...] = (
    "image",
    "status",
    "prediction",
    *NUMBERS,
    "decoder",
    "backend",
    "sha256",
    "reason",
)

Value = str | float | None
"""What a cell holds; None is an empty cell of CSV, and null elsewhere."""

Record = dict[str, Value]
"""The values of one row by column, in the order of the columns."""


def record_of(row: Row) -> Record:
    """Lay a row out by column: encoded text, numbers of six decimals, None where nothing is.

    Raises
    ------
    ValueError
        If a number is no probability: a backend's bug, which no table may hide.
    """
    probabilities = row.probabilities or [None] * len(CLASSES)
    return {
        "image": encode_name(row.image),
        "status": row.status,
        "prediction": _text(row.prediction),
        "confidence": _probability(max(row.probabilities, default=None)),
        **{n: _probability(p) for n, p in zip(PROBABILITIES, probabilities, strict=True)},
        "p_malignant": _probability(row.malignant if row.probabilities else None),
        "decoder": _text(row.decoder),
        "backend": _text(row.backend),
        "sha256": _text(row.sha256),
        "reason": _text(row.reason),
    }


def number_text(value: float) -> str:
    """Write a number the way that every text format does: ``0.330704``."""
    return f"{value:.{DECIMALS}f}"


def _text(text: str) -> str | None:
    return encode_name(text) or None


def _probability(value: float | None) -> float | None:
    if value is None:
        return None
    rounded = round(float(value), DECIMALS)
    if not 0 <= rounded <= 1:
        raise ValueError(f"found a probability of {value}; wanted 0 to 1")
    return rounded + 0.0  # a zero without a sign
