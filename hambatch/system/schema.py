"""JSON that is read: its types and ranges stand once, in dataclasses; msgspec checks them.

Every JSON text is decoded by :func:`decode`, which bounds its size, its depth and its numbers.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hambatch.system.text import excerpt, first_names

T = TypeVar("T")

_PROBLEM = re.compile(r"(.*?)(?: - at (`key` in )?`\$([^`]*)`)?", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[(\.\.\.)\]")
_SHOWN = 80
"""Characters of a found value that a message quotes."""

MOST_BYTES = 256_000_000
"""A list of a million training images has about 150 MB; all other files are far smaller."""

DEEPEST = 50
"""Most lists and objects in each other; hambatch writes at most eight."""

LARGEST = 2**63 - 1
"""An integer beyond it is no count, size or index, and may become no float."""


def read_json_file(path: Path, kind: type[T], at_most: int = MOST_BYTES) -> T:
    """Read a JSON file as :func:`read_json` does; raises OSError if it cannot be read.

    Never more than ``at_most`` bytes are read, whatever the file is.
    """
    with path.open("rb") as stream:
        return read_json(stream.read(at_most + 1), kind, at_most)


def read_json(content: bytes, kind: type[T], at_most: int = MOST_BYTES) -> T:
    """Read JSON text as ``kind``: a dataclass, a ``msgspec.Struct``, or any other annotated type.

    Raises ValueError as :func:`decode` does, or if it does not fit: the message names the field,
    what was found and what was wanted.
    """
    return convert(decode(content, at_most), kind)


def decode(content: bytes | str, at_most: int = MOST_BYTES, *, strict: bool = True) -> Any:
    """Decode JSON of any kind.

    Raises ValueError if it has more than ``at_most`` bytes, is no JSON in UTF-8, is deeper than
    ``DEEPEST``, has an integer beyond 64 bits, half a character, or a key twice in one object: the
    last of two would win, and readers differ in that. ``strict`` refuses NaN and infinities.
    """
    import msgspec

    if len(content) > at_most:
        raise ValueError(f"it has more than {at_most:,} bytes")
    try:
        if strict:
            msgspec.json.decode(content)
        value = json.loads(
            content if isinstance(content, str) else content.decode(),
            object_pairs_hook=_object,
            parse_int=_integer,
        )
    except (msgspec.DecodeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"it is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    _refuse_deep(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # Counted: for a list of a million names, searching it for each of them takes hours.
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it has the key {excerpt(repr(name), _SHOWN)} twice in one object")
    return found


def _integer(digits: str) -> int:
    # Compared by length first: Python refuses to convert thousands of digits.
    if len(digits) > len(str(-LARGEST)) or abs(int(digits)) > LARGEST:
        raise ValueError(f"it has the number {excerpt(digits, _SHOWN)}, beyond 64 bits")
    return int(digits)


def _refuse_deep(value: Any) -> None:
    level: Sequence[Any] = [value]
    for _ in range(DEEPEST + 1):
        level = [one for part in level for one in _parts(part) if isinstance(one, dict | list)]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def convert(raw: Any, kind: type[T], *, exact: bool = False) -> T:
    """Convert JSON that was decoded already; ``exact`` also refuses fields that ``kind`` lacks.

    Raises ValueError as :func:`read_json` does.
    """
    import msgspec

    try:
        value = msgspec.convert(raw, type=kind)
    except msgspec.ValidationError as error:
        raise ValueError(_message(str(error), raw, kind)) from error
    unknown = first_names(list(_unknown(raw, msgspec.to_builtins(value)))) if exact else ""
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
                yield f"{place}{excerpt(name, _SHOWN)}"
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
        return f"{field}: {excerpt(what)}"
    wanted = what.removeprefix("Expected ").partition(", got ")[0].replace("`", "")
    if of_key:
        return f"a key of {field} cannot be used, wanted {wanted}"
    return f"{field} is {excerpt(repr(_at(raw, steps)), _SHOWN)}, wanted {wanted}"


def _find_keys(steps: list[Any], raw: Any, kind: Any, problem: str) -> None:
    """Put the key in the place of each ``...``, by which msgspec stands for any key."""
    import msgspec

    root = {"": raw}
    for k in [k for k, step in enumerate(steps) if step is ...]:
        *above, last = ["", *steps[:k]]
        parent = _at(root, above)
        whole = parent[last]
        for key, value in whole.items():
            parent[last] = {key: value}
            try:
                msgspec.convert(root[""], type=kind)
            except msgspec.ValidationError as error:
                if str(error) == problem:
                    steps[k] = key
                    break
        parent[last] = whole


def _step(step: Any) -> str:
    if isinstance(step, str) and step.isidentifier():
        return f".{excerpt(step, _SHOWN)}"
    return f"[{excerpt(repr(step), _SHOWN)}]"


def _at(raw: Any, steps: Sequence[Any]) -> Any:
    for step in steps:
        if step is ...:
            break
        raw = raw[step]
    return raw
