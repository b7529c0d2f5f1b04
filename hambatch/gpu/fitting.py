"""Smaller requests where a GPU's memory is too full for large ones."""

from collections.abc import Callable
from typing import TypeVar

from hambatch.errors import OutOfMemory

T = TypeVar("T")


def fitted(make: Callable[[int], T], size: int) -> T:
    """Make it for ``size`` images; if that does not fit, for half as many, and so on.

    Raises
    ------
    OutOfMemory
        If one image does not fit.
    """
    while True:
        try:
            return make(size)
        except OutOfMemory:
            if size == 1:
                raise
        size //= 2
