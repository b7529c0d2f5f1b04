"""hambatch.score: what the command does, as a function."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

from hambatch.api.options import RunOptions, StrPath, options_from
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.errors import InputError
from hambatch.scoring import run
from hambatch.sinks.publish import record_path
from hambatch.sources.source import STDIN, path_of_word
from hambatch.system.inherited import check_interpreter


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    table, record
        What it wrote: the table, and the record beside it.
    complete
        Whether every image that the sources hold at the end was scored, as far as can be seen: what
        the command's exit code 0 says; False is its 3.
    images, scored, failed
        Rows of the table.
    kept
        Of these, rows that an earlier start had finished, or that an update kept.
    reasons
        Failed rows by reason, the most common one first.
    added, changed, gone
        Files that came since the run began, which have no row; whose bytes changed since they were
        scored; that are gone. None: the sources could not be looked at again.
    without_report
        With ``format="dicom-sr"``: images that have no report.
    update
        With ``update``: how many rows were added, removed, changed, moved or rescored, or
        changed their risk.
    seconds
        Of this start.
    """

    table: Path
    record: Path
    complete: bool
    images: int
    scored: int
    failed: int
    kept: int
    seconds: float
    reasons: Mapping[str, int] = field(default_factory=dict)
    added: int | None = None
    changed: int | None = None
    gone: int | None = None
    without_report: int = 0
    update: Mapping[str, int] = field(default_factory=dict)


def score(
    sources: StrPath | Sequence[StrPath],
    out: StrPath,
    *,
    engine: StrPath = DEFAULT_ENGINE,
    format: str = "auto",
    journal_dir: StrPath | None = None,
    overwrite: bool = False,
    retry_failed: bool = False,
    update: bool = False,
    rehash: float = 0.0,
    sign: StrPath | None = None,
    mkdir: bool = False,
    **options: Unpack[RunOptions],
) -> Outcome:
    """Score images of sources into a table and its record, as ``hambatch score`` does.

    A run that was stopped is resumed by the same call, and by the same command. In the main thread
    the first Ctrl-C lets the batches under way finish.

    Parameters
    ----------
    sources
        A path, or several: folders, archives, globs, manifests, files.
    out
        The table; its suffix says the format, unless ``format`` does.
    journal_dir
        Where the journal lies instead of beside ``out``.
    overwrite, retry_failed, update, rehash, sign, mkdir, options
        As the options of the command.

    Raises
    ------
    HambatchError
        If it cannot be done; finished rows are kept. A bad image is a failed row.
    KeyboardInterrupt
        If Ctrl-C stopped it; finished rows are kept.
    TypeError
        If there is no such option, or a source is no path.
    """
    check_interpreter()
    words = [sources] if isinstance(sources, str | bytes | os.PathLike) else [*sources]
    for word in words:
        if not isinstance(word, str | os.PathLike):
            raise TypeError(
                f"a source is of the type {type(word).__name__}; wanted a path (images in memory: "
                "hambatch.Scorer)"
            )
    chosen = options_from("score", engine, options, RunOptions)
    _refuse_other_types(
        rehash=rehash, overwrite=overwrite, retry_failed=retry_failed, update=update, mkdir=mkdir
    )
    _refuse_together(overwrite=overwrite, retry_failed=retry_failed, update=update, rehash=rehash)
    if not words or STDIN in words:
        raise InputError("no paths of sources, wanted one at least.\nNext: name a folder")
    place = Path(journal_dir) if journal_dir is not None else None
    if place and not place.is_dir():
        raise InputError(f"journal_dir {place} is no folder.\nNext: make it: mkdir {place}")
    ended = run.score(
        [path_of_word(word) for word in words],
        Path(out),
        format,
        chosen,
        place,
        overwrite=overwrite,
        retry_failed=retry_failed,
        update=update,
        rehash=rehash,
        sign=Path(sign) if sign is not None else None,
        mkdir=mkdir,
    )
    return _outcome(ended)


def _refuse_other_types(*, rehash: float, **flags: bool) -> None:
    """Refuse what Python would take for True, such as ``overwrite="no"``."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}, wanted True or False")
    if isinstance(rehash, bool) or not isinstance(rehash, int | float):
        raise TypeError(f"rehash is {rehash!r}, wanted a number")


def _refuse_together(*, overwrite: bool, retry_failed: bool, update: bool, rehash: float) -> None:
    problem = ""
    if overwrite and retry_failed:
        problem = "overwrite scores everything again, retry_failed only failures"
    elif update and (overwrite or retry_failed):
        problem = "update goes with neither overwrite nor retry_failed"
    elif rehash and not update:
        problem = "rehash goes with update"
    elif not 0 <= rehash <= 100:
        problem = f"rehash is {rehash}, wanted 0 to 100 percent"
    if problem:
        raise InputError(f"{problem}.\nNext: leave one of them out")


def _outcome(ended: run.Outcome) -> Outcome:
    tally, changes = ended.tally, ended.changes
    return Outcome(
        table=ended.out,
        record=record_path(ended.out),
        complete=ended.complete,
        images=tally.images,
        scored=tally.scored,
        failed=tally.failed,
        kept=ended.kept,
        seconds=ended.seconds,
        reasons=dict(tally.reasons.most_common()),
        added=changes.added,
        changed=changes.changed,
        gone=changes.gone,
        without_report=ended.without_report,
        update=dict(ended.updated.changes) if ended.updated else {},
    )
