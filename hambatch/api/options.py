"""Options of the Python API: those of the command, by the same names."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypedDict

from hambatch.errors import InputError
from hambatch.pipelines.options import DecoderOptions
from hambatch.scoring.options import ScoreOptions
from hambatch.system.schema import convert

StrPath = str | os.PathLike[str]


class ScorerOptions(TypedDict, total=False):
    """Options of a Scorer: :class:`hambatch.scoring.options.ScoreOptions` says what each does."""

    device: str
    backend: str
    precision: str
    force: bool
    model_cache: bool
    batch_size: int
    threads: int
    streams: int
    decode_threads: int
    readers: int
    prefetch: int
    follow_symlinks: bool
    archives: bool
    keep_ids: bool
    all_formats: bool
    max_ratio: float
    max_megabytes: float
    max_megapixels: float
    min_side: int
    max_aspect: float
    decode_seconds: float
    salvage_truncated: bool
    tta: int
    calibration: bool
    double_check: float
    sentinel_every: int
    decoder: DecoderOptions


class RunOptions(ScorerOptions, total=False):
    """Options of a run that writes a table."""

    fail_over: float


def options_from(
    caller: str, engine: StrPath, given: Mapping[str, Any], kind: type
) -> ScoreOptions:
    """Check the keyword arguments of ``caller``, whose names are those of ``kind``.

    Raises TypeError for an unknown name, as Python does, and InputError for a value that cannot be.
    """
    known = kind.__annotations__
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise TypeError(f"{caller} got an unexpected keyword argument {name!r}{hint}")
    try:
        return convert({"engine": _name_of(engine), **given}, ScoreOptions)
    except ValueError as error:
        raise InputError(
            f"{caller}: {error}.\nNext: hambatch score --help names the values of every option"
        ) from error


def _name_of(engine: StrPath) -> str:
    """Give an engine as the command takes it: a path, unlike a text, names no installed one."""
    name = os.fspath(engine)
    return name if isinstance(engine, str) or os.sep in name else os.path.join(os.curdir, name)
