"""JSON that is read: its types and ranges stand once, in dataclasses; msgspec checks them."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

T = TypeVar("T")

_PROBLEM = re.compile(r"(?P<what>.*?)(?: - at `(?P<place>[^`]*)`)?", re.DOTALL)
_STEP = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_SHOWN = 80
"""Characters of a found value that a message quotes."""


def read_json(content: bytes | str, kind: type[T]) -> T:
    """Read JSON text as ``kind``: a dataclass, a ``msgspec.Struct``, or any other annotated type.

    Raises ValueError if it is no JSON (NaN and infinities are none), or does not fit: the message
    names the field, what was found and what was wanted.
    """
    import msgspec

    try:
        raw = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"it is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return convert(raw, kind)


def convert(raw: Any, kind: type[T], *, exact: bool = False) -> T:
    """Convert JSON that was decoded already; ``exact`` also refuses fields that ``kind`` lacks.

    Raises ValueError as :func:`read_json` does.
    """
    import msgspec

    try:
        value = msgspec.convert(raw, type=kind)
    except msgspec.ValidationError as error:
        raise ValueError(_message(str(error), raw)) from error
    unknown = ", ".join(_unknown(raw, msgspec.to_builtins(value))) if exact else ""
    if unknown:
        raise ValueError(f"unknown fields: {unknown}")
    return value


def _unknown(raw: Any, known: Any, place: str = "") -> Iterator[str]:
    """Name the keys of ``raw``, at any depth, that ``known`` lacks."""
    if isinstance(raw, dict):
        for name in raw:
            if name in known:
                yield from _unknown(raw[name], known[name], f"{place}{name}.")
            else:
                yield f"{place}{name}"
    elif isinstance(raw, list):
        for index, (one, other) in enumerate(zip(raw, known, strict=True)):
            yield from _unknown(one, other, f"{place[:-1]}[{index}].")


def _message(problem: str, raw: Any) -> str:
    """``Expected `int`, got `str` - at `$.a[0]` `` -> ``a[0] is 'x', wanted int``."""
    found = _PROBLEM.fullmatch(problem)
    what, place = (found["what"], found["place"] or "$") if found else (problem, "$")
    field = place.removeprefix("$").removeprefix(".") or "the whole"
    if not what.startswith("Expected "):
        return f"{field}: {what}"
    wanted = what.removeprefix("Expected ").partition(", got ")[0].replace("`", "")
    return f"{field} is {_value(raw, place)}, wanted {wanted}"


def _value(raw: Any, place: str) -> str:
    """Quote the value at a place such as ``$.a[0].b``; ``[...]`` stands for any key."""
    for name, index in _STEP.findall(place.removeprefix("$")):
        try:
            raw = raw[int(index)] if index else raw[name]
        except (KeyError, IndexError, TypeError):
            return "of another kind"
    shown = repr(raw)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]} ..."
