"""JSON that is read: its types and ranges stand once, in dataclasses; msgspec checks them."""

import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any, TypeVar

T = TypeVar("T")

_PROBLEM = re.compile(r"(.*?)(?: - at (`key` in )?`\$([^`]*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[(\.\.\.)\]")
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
        raise ValueError(_message(str(error), raw, kind)) from error
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


def _message(problem: str, raw: Any, kind: Any) -> str:
    """``Expected `int`, got `str` - at `$.a[0]` `` -> ``a[0] is 'x', wanted int``."""
    found = _PROBLEM.fullmatch(problem)
    what, of_key, place = found.groups() if found else (problem, None, "")
    steps = [
        name or (int(index) if index else ...) for name, index, _ in _STEP.findall(place or "")
    ]
    _find_keys(steps, raw, kind, problem)
    field = "".join(map(_step, steps)).removeprefix(".") or "the whole"
    if missing := _MISSING.fullmatch(what):
        return "".join(map(_step, [*steps, missing[1]])).removeprefix(".") + " is missing"
    if not what.startswith("Expected "):
        return f"{field}: {what}"
    wanted = what.removeprefix("Expected ").partition(", got ")[0].replace("`", "")
    if of_key:
        return f"a key of {field} cannot be used, wanted {wanted}"
    shown = repr(_at(raw, steps))
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]} ..."
    return f"{field} is {shown}, wanted {wanted}"


def _find_keys(steps: list[Any], raw: Any, kind: Any, problem: str) -> None:
    """Put the key in the place of each ``...``, by which msgspec stands for any key."""
    import msgspec

    for k in [k for k, step in enumerate(steps) if step is ... and k]:
        for key, value in _at(raw, steps[:k]).items():
            alone = deepcopy(raw)
            _at(alone, steps[: k - 1])[steps[k - 1]] = {key: value}
            try:
                msgspec.convert(alone, type=kind)
            except msgspec.ValidationError as error:
                if str(error) == problem:
                    steps[k] = key
                    break


def _step(step: Any) -> str:
    return f".{step}" if isinstance(step, str) and step.isidentifier() else f"[{step!r}]"


def _at(raw: Any, steps: Sequence[Any]) -> Any:
    for step in steps:
        raw = raw[step]
    return raw
