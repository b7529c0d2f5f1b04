"""A result file of `hambatch bench` as typed values; nothing in it is taken on trust."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hambatch.errors import InputError
from hambatch.system.text import encode_name

FORMAT = 1
"""Version of the file; any other is refused."""


KIND = "hambatch bench"


MOST_BYTES = 16_000_000
"""A result file is some kilobytes; a bigger one is something else."""


TINIEST, LARGEST = 1e-12, 1e12
"""What a rate in images/s or a time in ms can be."""


REPEATS = {"throughput": "images_per_s", "latency": "repeats_p50_ms"}
"""The list of each kind of series that is compared."""


CONDITIONS = ("machine", "versions", "engine", "source")
"""Parts of the file that say under what conditions it was measured."""


Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Series:
    """One thing that was measured, repeatedly.

    Attributes
    ----------
    kind
        ``throughput`` (images/s, more is better) or ``latency`` (ms, less is better).
    name, stage, settings
        What was measured; the name is unique within its kind.
    repeats
        One figure a repeat, in the order of measuring; all positive.
    """

    kind: str
    name: str
    stage: str
    settings: dict[str, Scalar]
    repeats: tuple[float, ...]


@dataclass(frozen=True)
class Result:
    """What a comparison uses of a result file; ``conditions`` as ``machine.cpu: value``."""

    path: Path
    what: str
    measured_utc: str
    conditions: dict[str, Scalar]
    series: tuple[Series, ...]


def read_result(path: Path) -> Result:
    """Read and check a result file.

    Raises
    ------
    InputError
        If it cannot be read, or is no result of `hambatch bench` of this format.
    """
    try:
        return _result(path, _load(path))
    except OSError as error:
        raise _refused(path, f"it cannot be read ({error.strerror})") from error
    except RecursionError as error:
        raise _refused(path, "it is nested too deeply") from error
    except ValueError as error:
        raise _refused(path, str(error)) from error


def _refused(path: Path, found: str) -> InputError:
    return InputError(
        f"{encode_name(str(path))}: {found}; wanted a result of hambatch bench, format {FORMAT}.\n"
        f"Next: hambatch bench --help"
    )


def _load(path: Path) -> Any:
    with path.open("rb") as stream:
        content = stream.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    try:
        raw = json.loads(content.decode("utf-8"))
        # An escape such as \ud800 is JSON, but half a character: no message could show it.
        json.dumps(raw, ensure_ascii=False).encode()
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error!s:.100})") from error
    return raw


def _result(path: Path, raw: Any) -> Result:
    if not isinstance(raw, dict) or raw.get("kind") != KIND:
        raise ValueError("it does not say that it is one")
    if type(raw.get("format")) is not int or raw["format"] != FORMAT:
        raise ValueError(f"its format is {raw.get('format')!r:.50}")
    series = [_series(kind, entry) for kind in REPEATS for entry in _list(raw, kind)]
    names = [(one.kind, one.name) for one in series]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(f"its {twice[0]} series {twice[1]!r} is there twice")
    if not series:
        raise ValueError("nothing was measured in it")
    return Result(
        path, _text(raw, "what"), _text(raw, "measured_utc"), _conditions(raw), tuple(series)
    )


def _series(kind: str, entry: Any) -> Series:
    if not isinstance(entry, dict):
        raise ValueError(f"its {kind} holds {entry!r:.50}")
    name = _text(entry, "name")
    repeats = _list(entry, REPEATS[kind])
    wrong = [value for value in repeats if not _is_measure(value)]
    if wrong or not repeats:
        found = f"{wrong[0]!r:.50}" if wrong else "no repeat"
        raise ValueError(f"{REPEATS[kind]} of {name!r} holds {found}")
    settings = entry.get("settings")
    if not isinstance(settings, dict):
        raise ValueError(f"settings of {name!r} is {settings!r:.50}")
    return Series(kind, name, _text(entry, "stage"), _scalars(settings), tuple(map(float, repeats)))


def _is_measure(value: Any) -> bool:
    # NaN fails both comparisons; true is an int to Python.
    return type(value) in (int, float) and TINIEST <= value <= LARGEST


def _conditions(raw: dict[str, Any]) -> dict[str, Scalar]:
    found: dict[str, Scalar] = {"hambatch": _text(raw, "hambatch")}
    for section in CONDITIONS:
        values = raw.get(section)
        if not isinstance(values, dict) and not (section == "engine" and values is None):
            raise ValueError(f"its {section} is {values!r:.50}")
        found |= {f"{section}.{key}": value for key, value in _scalars(values or {}).items()}
    return found


def _scalars(values: dict[str, Any]) -> dict[str, Scalar]:
    """Keep plain values, as text that is safe to show; what is nested is text, too."""
    return {encode_name(key): _scalar(value) for key, value in values.items()}


def _scalar(value: Any) -> Scalar:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return encode_name(value if isinstance(value, str) else json.dumps(value, sort_keys=True))


def _text(raw: dict[str, Any], key: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"its {key} is {value!r:.50}")
    return encode_name(value)


def _list(raw: dict[str, Any], key: str) -> list[Any]:
    value = raw.get(key)
    if not isinstance(value, list):
        raise ValueError(f"its {key} is {value!r:.50}")
    return value
