"""How an option of training is declared: its default, its help, and the values that it accepts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Range:
    """Finite numbers that an option accepts; an open end is not one of them."""

    min: float
    max: float | None = None
    min_open: bool = False
    max_open: bool = False


COUNT, NOT_NEGATIVE, POSITIVE = Range(1), Range(0), Range(0, min_open=True)
SHARE, PART = Range(0, 1, max_open=True), Range(0, 1, min_open=True)


def option(default: T, text: str, values: Range | Sequence[str] | None = None) -> T:
    """Declare a field that is an option of the command line.

    Parameters
    ----------
    text
        Its help.
    values
        The numbers or words that it accepts; None: any of its type.
    """
    return field(default=default, metadata={"help": text, "values": values})
