"""From the values of a table back to a row, each of them checked."""

import re
from typing import NoReturn

from hambatch.batches import Row
from hambatch.labels import CLASSES
from hambatch.names import decode_name
from hambatch.probabilities import DECIMALS
from hambatch.tables.columns import NUMBERS, PROBABILITIES, Record
from hambatch.tables.malformed import MalformedTable

_SHA256 = re.compile("[0-9a-f]{64}")

_SUM_TOLERANCE = 1e-5
"""Seven numbers, each rounded to six decimals, sum to 1 within 3.5e-6."""


def row_of(record: Record, number: int) -> Row:
    """Undo :func:`~hambatch.tables.columns.record_of`.

    Parameters
    ----------
    record
        Holds at least the columns of the table.
    number
        Of the row, from 1, for messages.

    Raises
    ------
    MalformedTable
        If no row is written like this: naming row, column and value.
    """
    return _Checked(record, number).row()


class _Checked:
    """One record; what is wrong with it is said with its row and image."""

    def __init__(self, record: Record, number: int) -> None:
        self._record = record
        self._number = number

    def row(self) -> Row:
        scored = self._one_of("status", ("ok", "failed")) == "ok"
        numbers = self._scored_numbers() if scored else self._no_numbers()
        return Row(
            self._image(),
            "ok" if scored else "failed",
            prediction=self._prediction(numbers) if scored else "",
            probabilities=tuple(numbers[name] for name in PROBABILITIES) if scored else (),
            malignant=numbers["p_malignant"] if scored else 0.0,
            decoder=self._text("decoder"),
            backend=self._text("backend"),
            sha256=self._sha256(),
            reason=self._text("reason"),
        )

    def _image(self) -> str:
        return self._text("image") or self._refuse("image", "a name in every row")

    def _prediction(self, numbers: dict[str, float]) -> str:
        prediction = self._one_of("prediction", CLASSES)
        if numbers[f"p_{prediction}"] != numbers["confidence"]:
            self._refuse("prediction", "the class of the highest probability")
        return prediction

    def _scored_numbers(self) -> dict[str, float]:
        numbers = {column: self._probability(column) for column in NUMBERS}
        probabilities = [numbers[column] for column in PROBABILITIES]
        if numbers["confidence"] != max(probabilities):
            self._refuse("confidence", f"the highest probability, {max(probabilities)}")
        if abs(sum(probabilities) - 1) > _SUM_TOLERANCE:
            total = f"{sum(probabilities):.{DECIMALS}f}"
            self._refuse("image", f"probabilities that sum to 1, not to {total}")
        return numbers

    def _no_numbers(self) -> dict[str, float]:
        for column in ("prediction", *NUMBERS):
            if self._record[column] is not None:
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

    def _sha256(self) -> str:
        text = self._text("sha256")
        if text and not _SHA256.fullmatch(text):
            self._refuse("sha256", "64 hexadecimal digits or nothing")
        return text

    def _one_of(self, column: str, known: tuple[str, ...]) -> str:
        text = self._text(column)
        return text if text in known else self._refuse(column, f"one of {' '.join(known)}")

    def _text(self, column: str) -> str:
        value = self._record[column]
        if value is None:
            return ""
        return decode_name(value) if isinstance(value, str) else self._refuse(column, "text")

    def _refuse(self, column: str, wanted: str) -> NoReturn:
        shown = "nothing" if self._record[column] is None else repr(self._record[column])
        found = f"{column} {shown} in row {self._number}"
        if column != "image":
            found += f" (image {self._record['image']!r})"
        raise MalformedTable(found, wanted, self._record["image"])
