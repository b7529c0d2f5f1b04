"""The columns of a table: a row as a record of values, and back with each value checked."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

from hambatch.engines.classes import CLASSES, ISIC_COLUMNS, QUALITY_WORDS, RISKS, SCORES
from hambatch.engines.classes import COLUMNS as COLUMNS
from hambatch.engines.classes import NUMBERS as NUMBERS
from hambatch.engines.classes import PROBABILITIES as PROBABILITIES
from hambatch.engines.classes import SCORE_COLUMNS as SCORE_COLUMNS
from hambatch.engines.probabilities import DECIMALS
from hambatch.system.malformed import MalformedTable as MalformedTable
from hambatch.system.malformed import refusing_malformed as refusing_malformed
from hambatch.system.text import COLUMNS_NAMED, decode_name, encode_name, excerpt, first_names
from hambatch.types import Row

Value = str | float | None
"""What a cell holds; None is an empty cell of CSV, and null elsewhere."""

Record = dict[str, Value]
"""The values of one row by column, in the order of the columns."""

_SHA256 = re.compile("[0-9a-f]{64}")

_SUM_TOLERANCE = 1e-5
"""Seven numbers, each rounded to six decimals, sum to 1 within 3.5e-6."""


def carried_names(carried: Sequence[str]) -> tuple[str, ...]:
    """Encode the names of a manifest's columns as they are written, after ours.

    Raises ValueError if one is empty, ours, or there twice: a manifest with such a one is refused.
    """
    names = tuple(map(encode_name, carried))
    taken = {"", *COLUMNS}
    if taken.intersection(names) or len(set(names)) < len(names):
        raise ValueError(f"found carried columns {first_names(names)}; wanted others, each once")
    return names


def header_of(carried: Sequence[str] = (), *, checked: bool = True) -> tuple[str, ...]:
    """Name the columns of a table; ``carried`` are those of :func:`carried_names`.

    ``checked``: as of :func:`record_of`.
    """
    return (*(COLUMNS if checked else SCORE_COLUMNS), *carried)


def record_of(row: Row, carried: Sequence[str] = (), *, checked: bool = True) -> Record:
    """Lay a row out by column: encoded text, numbers of six decimals, None for nothing.

    ``carried`` are the names of :func:`carried_names`, one for each of the row's carried cells.
    Without ``checked`` there are no columns about quality and risk, as in earlier tables. Raises
    ValueError if there are more or fewer, or if a number is no probability: a backend's bug, which
    no table may hide.
    """
    record = _record_of(row)
    if checked:
        record.update(_checks_of(row))
    if carried or row.carried:
        cells = zip(carried, row.carried, strict=True)
        record.update((name, _text(cell or "")) for name, cell in cells)
    return record


def _record_of(row: Row) -> Record:
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


def _checks_of(row: Row) -> Record:
    return {
        "ood": None if row.ood is None else round(row.ood, DECIMALS),
        "quality": _text(row.quality),
        "risk": _text(row.risk),
        "risk_reason": _text(row.risk_reason),
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


def check_columns(found: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise MalformedTable if a wanted column is missing or any column stands there twice."""
    missing = [name for name in wanted if name not in found]
    if missing and {"image", *ISIC_COLUMNS} <= set(found):
        raise submission()
    if missing:
        raise MalformedTable(
            f"columns {first_names(found, COLUMNS_NAMED)}", f"also the columns {', '.join(missing)}"
        )
    twice = sorted(name for name, count in Counter(found).items() if count > 1)
    if twice:
        raise MalformedTable(
            f"several columns {first_names(twice, COLUMNS_NAMED)}", "every column once"
        )


def submission() -> MalformedTable:
    """Say why a submission to ISIC 2018 Task 3 cannot be read as rows."""
    return MalformedTable(
        "an ISIC submission, which can be neither verified nor retried: "
        "it has neither folders, status nor sha256",
        "a table written by hambatch score --format csv, tsv, jsonl, xlsx or parquet",
    )


def row_of(record: Record, number: int, carried: Sequence[str] = ()) -> Row:
    """Undo :func:`record_of`; ``number`` is the row's, from 1, for messages.

    The record holds at least :data:`SCORE_COLUMNS` and ``carried``. Raises MalformedTable, naming
    row, column and value, if no run writes such a record.
    """
    return _Checked(record, number).row(carried)


class _Checked:
    def __init__(self, record: Record, number: int) -> None:
        self._record = record
        self._number = number

    def row(self, carried: Sequence[str]) -> Row:
        scored = self._one_of("status", ("ok", "failed")) == "ok"
        numbers = self._scored() if scored else self._unscored()
        return Row(
            self._text("image") or self._refuse("image", "a name in every row"),
            "ok" if scored else "failed",
            prediction=self._text("prediction"),
            probabilities=tuple(numbers[name] for name in PROBABILITIES) if scored else (),
            malignant=numbers.get("p_malignant", 0.0),
            decoder=self._text("decoder"),
            backend=self._text("backend"),
            sha256=self._sha256(),
            reason=self._text("reason"),
            ood=self._ood() if scored else None,
            quality=self._quality() if scored else "",
            risk=self._one_of("risk", ("", *RISKS)),
            risk_reason=self._text("risk_reason"),
            carried=tuple(self._text(name) or None for name in carried),
        )

    def _scored(self) -> dict[str, float]:
        numbers = {column: self._probability(column) for column in SCORES}
        probabilities = [numbers[column] for column in PROBABILITIES]
        if numbers["confidence"] != max(probabilities):
            self._refuse("confidence", f"the highest probability, {max(probabilities)}")
        if abs(sum(probabilities) - 1) > _SUM_TOLERANCE:
            total = f"{sum(probabilities):.{DECIMALS}f}"
            self._refuse("image", f"probabilities that sum to 1, not to {total}")
        if numbers[f"p_{self._one_of('prediction', CLASSES)}"] != numbers["confidence"]:
            self._refuse("prediction", "the class of the highest probability")
        return numbers

    def _unscored(self) -> dict[str, float]:
        for column in ("prediction", *NUMBERS, "quality"):
            if self._record.get(column) is not None:
                self._refuse(column, "nothing there, as status is 'failed'")
        return {}

    def _probability(self, column: str) -> float:
        value = self._record[column]
        # An int is what JSON makes of 0 and 1; true and false are no numbers.
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            self._refuse(column, "a probability, 0 to 1")
        if not 0 <= value <= 1 or value != round(value, DECIMALS):
            self._refuse(column, f"a probability, 0 to 1, of {DECIMALS} decimals")
        return float(value)

    def _ood(self) -> float | None:
        value = self._record.get("ood")
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            self._refuse("ood", "a number, at least 0, or nothing")
        return float(value)

    def _quality(self) -> str:
        text = self._text("quality")
        found = text.split(" ") if text else []
        if found != [word for word in QUALITY_WORDS if word in found]:
            self._refuse("quality", f"some of {' '.join(QUALITY_WORDS)}, in this order")
        return text

    def _sha256(self) -> str:
        text = self._text("sha256")
        if text and not _SHA256.fullmatch(text):
            self._refuse("sha256", "64 hexadecimal digits or nothing")
        return text

    def _one_of(self, column: str, known: tuple[str, ...]) -> str:
        text = self._text(column)
        return text if text in known else self._refuse(column, f"one of {' '.join(known)}")

    def _text(self, column: str) -> str:
        value = self._record.get(column)
        if value is None:
            return ""
        return decode_name(value) if isinstance(value, str) else self._refuse(column, "text")

    def _refuse(self, column: str, wanted: str) -> NoReturn:
        value = self._record.get(column)
        shown = "nothing" if value is None else excerpt(repr(value))
        found = f"{column} {shown} in row {self._number}"
        if column != "image":
            found += f" (image {excerpt(repr(self._record['image']))})"
        raise MalformedTable(found, wanted, self._record["image"])
