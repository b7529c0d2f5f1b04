"""A result file of `hambatch bench`, checked, as the series that a comparison needs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from hambatch.errors import InputError
from hambatch.system.schema import read_json_file
from hambatch.system.text import encode_name

MOST_BYTES = 16_000_000
"""A result file is some kilobytes; a bigger one is something else."""

Scalar = str | int | float | bool | None
Text = Annotated[str, Meta(min_length=1)]
Repeats = Annotated[tuple[Annotated[float, Meta(ge=1e-12, le=1e12)], ...], Meta(min_length=1)]
"""One figure a repeat: images/s, or ms."""


@dataclass(frozen=True)
class _Entry:
    name: Text
    stage: Text
    settings: dict[str, Any]


@dataclass(frozen=True)
class _Throughput(_Entry):
    images_per_s: Repeats


@dataclass(frozen=True)
class _Latency(_Entry):
    repeats_p50_ms: Repeats


@dataclass(frozen=True)
class _File:
    kind: Literal["hambatch bench"]
    format: Literal[1]
    what: Text
    measured_utc: Text
    hambatch: Text
    machine: dict[str, Any]
    versions: dict[str, Any]
    source: dict[str, Any]
    throughput: list[_Throughput]
    latency: list[_Latency]
    engine: dict[str, Any] | None = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """One thing that was measured repeatedly, by a name that is unique within its kind.

    ``kind`` is ``throughput`` (images/s, more is better) or ``latency`` (ms, less is better);
    ``repeats`` are in the order of measuring, all positive.
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
    """Read and check a result file; texts are encoded so that they are safe to print.

    Raises InputError if it cannot be read, or is no result of `hambatch bench` of this format.
    """
    try:
        return _result(path, read_json_file(path, _File, MOST_BYTES))
    except OSError as error:
        raise _refused(path, f"it cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise _refused(path, str(error)) from error


def _refused(path: Path, found: str) -> InputError:
    return InputError(
        f"{encode_name(str(path))}: {found}; wanted a result of hambatch bench, format 1.\n"
        f"Next: hambatch bench --help"
    )


def _result(path: Path, file: _File) -> Result:
    series = [_series("throughput", one, one.images_per_s) for one in file.throughput]
    series += [_series("latency", one, one.repeats_p50_ms) for one in file.latency]
    names = [(one.kind, one.name) for one in series]
    for kind, name in names:
        if names.count((kind, name)) > 1:
            raise ValueError(f"its {kind} series {name!r} is there twice")
    if not series:
        raise ValueError("it holds no measurement")
    conditions = {"hambatch": encode_name(file.hambatch)} | {
        f"{part}.{key}": value
        for part in ("machine", "versions", "engine", "source")
        for key, value in _scalars(getattr(file, part) or {}).items()
    }
    what, when = encode_name(file.what), encode_name(file.measured_utc)
    return Result(path, what, when, conditions, tuple(series))


def _series(kind: str, entry: _Entry, repeats: tuple[float, ...]) -> Series:
    name, stage = encode_name(entry.name), encode_name(entry.stage)
    return Series(kind, name, stage, _scalars(entry.settings), repeats)


def _scalars(values: Mapping[str, Any]) -> dict[str, Scalar]:
    """Keep plain values, as text that is safe to show; what is nested becomes text."""
    return {encode_name(key): _scalar(value) for key, value in values.items()}


def _scalar(value: Any) -> Scalar:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return encode_name(value if isinstance(value, str) else json.dumps(value, sort_keys=True))
