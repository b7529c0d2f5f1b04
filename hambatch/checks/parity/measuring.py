"""The story of `hambatch parity`: the same images by every path, and by each in several ways."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from hambatch.checks.options import ParityOptions
from hambatch.checks.parity.comparing import compare_rows, count_changed, tolerance_of
from hambatch.checks.parity.decoder_load import effect_of, load_runs
from hambatch.checks.parity.paths import (
    USUAL,
    Outcome,
    Run,
    ScoringPath,
    other_paths,
    reference_path,
    usual_run,
    varied_runs,
)
from hambatch.checks.parity.results import Parity, PathResult, Scorable, Taken, Varied
from hambatch.engines.loading import find_engine, load_engine
from hambatch.engines.sentinels import Sentinels
from hambatch.errors import HambatchError, InputError
from hambatch.scoring.plan import ON_GPU
from hambatch.sources.listing import list_sources
from hambatch.sources.source import Sources, find_sources
from hambatch.system.text import encode_name
from hambatch.types import Row

NEXT = "hambatch samples ./samples, then hambatch parity ./samples"

Progress = Callable[[Iterable[Run], int], Iterable[Run]]
"""Wraps the runs to show how many are done."""

Outcomes = Mapping[str, Outcome]
"""Of the runs of one path, by name."""


def measure_parity(
    words: Sequence[Path], options: ParityOptions, progress: Progress = lambda runs, total: runs
) -> Parity:
    """Score the same images by every path that can be taken here, each in a worker of its own.

    ``words`` name their sources, as for `score`.

    Raises
    ------
    HambatchError
        If the reference cannot be scored, or no path of an explicit device or precision.
    InputError
        If there is no image that can be scored, or one changes in between.
    """
    engine = load_engine(find_engine(options.engine))
    reference, others = reference_path(engine), other_paths(engine, options)
    sources = find_sources(words)
    taken = take_images(sources, options.count)
    images = scorable(usual_run(reference).rows(sources, taken.entries), sources)
    good = taken.of(images.names)
    found: dict[str, dict[str, Outcome]] = {path.name: {} for path in others}
    found[reference.name] = {USUAL: list(images.rows)}
    runs = runs_after(reference, others)
    for run in progress(runs, len(runs)):
        found[run.path.name][run.name] = run.outcome(sources, good)
    sentinels = engine.manifest.sentinels
    judged = (judge(path, images, found[path.name], sentinels) for path in others)
    on_gpu = _first_on_gpu(others)
    load = effect_of(on_gpu.name, found[on_gpu.name]) if on_gpu else None
    first = as_reference(reference, images, found[reference.name])
    return Parity(engine, options, taken, images, (first, *judged), load)


def take_images(sources: Sources, count: int) -> Taken:
    """Take every n-th image, so that of a folder sorted by class every class is compared.

    Raises InputError if a source is missing, or none holds an image.
    """
    with tempfile.TemporaryDirectory(prefix="hambatch-") as place:
        listing = list_sources(sources, Path(place) / "listing")
        taken = min(count, listing.count)
        places = {k * listing.count // taken for k in range(taken)}
        entries = tuple(entry for k, entry in enumerate(listing.entries()) if k in places)
    return Taken(entries, listing.count)


def scorable(rows: Sequence[Row], sources: Sources) -> Scorable:
    """Leave out what the reference could not score: a bad image says nothing about a path.

    Raises InputError if no image is left.
    """
    good = tuple(row for row in rows if row.status == "ok")
    reasons = Counter(encode_name(row.reason) for row in rows if row.status != "ok")
    if not good:
        ((reason, _),) = reasons.most_common(1)
        raise InputError(
            f"none of the {len(rows)} images taken of {sources.named} can be scored: "
            f"{reason}.\nNext: name a folder of intact images, or {NEXT}"
        )
    return Scorable(good, reasons)


def runs_after(reference: ScoringPath, others: Sequence[ScoringPath]) -> list[Run]:
    """Name every run but the first one, which determines the images."""
    runs = varied_runs(reference)
    for path in others:
        runs += [usual_run(path), *varied_runs(path)] if path.taken else []
    on_gpu = _first_on_gpu(others)
    return [*runs, *load_runs(on_gpu)] if on_gpu else runs


def judge(path: ScoringPath, images: Scorable, found: Outcomes, sentinels: Sentinels) -> PathResult:
    """Compare a path's rows with the reference's, and with themselves."""
    if not path.taken:
        return PathResult(path, {}, {})
    rows = found[USUAL]
    if isinstance(rows, HambatchError):
        return PathResult(path, {}, {}, problem=_first_line(rows))
    return PathResult(
        path,
        *_names_in(rows),
        compare_rows(images.rows, rows),
        tolerance_of(path, sentinels, len(images.rows)),
        _varied(path, rows, found),
    )


def as_reference(path: ScoringPath, images: Scorable, found: Outcomes) -> PathResult:
    """Compare the rows of the reference with those of its other runs."""
    varied = _varied(path, images.rows, found)
    return PathResult(path, *_names_in(images.rows), varied=varied)


def _names_in(rows: Sequence[Row]) -> tuple[Counter[str], Counter[str]]:
    """Count decoders and backends."""
    scored = [row for row in rows if row.status == "ok"]
    return Counter(row.decoder for row in scored), Counter(row.backend for row in scored)


def _varied(path: ScoringPath, rows: Sequence[Row], found: Outcomes) -> tuple[Varied, ...]:
    results = []
    for run in varied_runs(path):
        now = found[run.name]
        if isinstance(now, HambatchError):
            results.append(Varied(run.name, problem=_first_line(now)))
        else:
            changed = count_changed(rows, now)
            results.append(Varied(run.name, changed.rows, changed.max_difference))
    return tuple(results)


def _first_on_gpu(paths: Sequence[ScoringPath]) -> ScoringPath | None:
    return next((path for path in paths if path.backend == ON_GPU and path.taken), None)


def _first_line(error: HambatchError) -> str:
    return str(error).partition("\n")[0]
