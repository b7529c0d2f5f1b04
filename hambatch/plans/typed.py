"""JSON as a dataclass: every field of the type that it is declared with, or ValueError."""

from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")

LARGEST = 1e18
"""Of a number: above all that is counted or measured here, and a float holds it."""


def typed(kind: type[T], raw: object) -> T:
    """Make a dataclass of what JSON says.

    Fields are text, numbers, truth values, objects (``dict``), tuples of integers, or such
    dataclasses.

    Raises
    ------
    ValueError
        If a field is missing, unknown or of another type.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"{kind.__name__} is {type(raw).__name__}, wanted an object")
    hints = get_type_hints(kind)
    for name in raw.keys() - hints.keys():
        raise ValueError(f"unknown field {name!r}")
    for field in fields(kind):  # type: ignore[arg-type]
        optional = field.default is not MISSING or field.default_factory is not MISSING
        if field.name not in raw and not optional:
            raise ValueError(f"missing field {field.name!r}")
    return kind(**{name: _value(hints[name], value, name) for name, value in raw.items()})


def number(value: object, name: str) -> float:
    """Check a number: no truth value, NaN or infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _other(value, name, "a number")
    if not abs(value) <= LARGEST:
        raise ValueError(f"{name} is no number that can be")
    return value


def _value(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint):
        return typed(hint, value)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return _integers(get_args(hint), value, name)
    if hint is float:
        return number(value, name)
    wanted = get_origin(hint) or hint
    if type(value) is not wanted:
        raise _other(value, name, wanted.__name__)
    if wanted is int:
        number(value, name)
    if wanted is str:
        # A lone surrogate is legal JSON, and cannot be printed; it raises UnicodeError.
        value.encode()
    return value


def _integers(hints: tuple[Any, ...], value: Any, name: str) -> tuple[int, ...]:
    if not isinstance(value, list) or (hints[-1] is not ... and len(value) != len(hints)):
        raise _other(value, name, "a list of integers")
    return tuple(_value(int, one, name) for one in value)


def _other(value: object, name: str, wanted: str) -> ValueError:
    return ValueError(f"{name} is {type(value).__name__}, wanted {wanted}")
