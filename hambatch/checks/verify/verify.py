"""`hambatch verify`: the table, its record, the files and the engine, against one another."""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hambatch.checks.options import VerifyOptions
from hambatch.checks.verify.evidence import (
    Difference,
    ReadTable,
    compare_files,
    draw,
    read_table,
    reading,
    score_again,
)
from hambatch.engines.loading import Engine, find_engine, installed_engines, load_engine
from hambatch.engines.precision import graph_precision
from hambatch.engines.probabilities import as_wanted, temperature_of, widened
from hambatch.errors import BackendError, MissingDependency
from hambatch.score.journal.fingerprint import (
    CALIBRATION,
    Fingerprint,
    computing_device,
    fingerprint_of,
)
from hambatch.score.options import ScoreOptions
from hambatch.score.plan import CPU, ON_CPU, ON_GPU, RunPlan, numbers_in, plan_run
from hambatch.score.record import options_of, read_record
from hambatch.sinks.formats import format_of
from hambatch.sinks.publish import outputs_of, record_path
from hambatch.sources.listing import Listing, list_images
from hambatch.system.text import decode_name, encode_name

Progress = Callable[[Iterable[Difference | None], int], Iterable[Difference | None]]
"""Wraps the stream of compared files to show how far it is."""


MACHINE = ("backend", "device", "versions")
"""Parts of a fingerprint: where they are equal, a row scored again is so to the last digit."""


OTHER_DECODER = 0.02
"""What a probability may differ by where a GPU decoded and the CPU does now, or another decoder of
the GPU, to pixels that differ by a few levels. On a GPU this was not measured."""


@dataclass(frozen=True)
class Verdict:
    """What differs, and one line that says what was compared."""

    differences: list[Difference]
    proven: str


def verify(
    table: Path, source: Path, kind: str, options: VerifyOptions, progress: Progress | None = None
) -> Verdict:
    """Compare a finished table with its record, its files and its engine.

    Raises
    ------
    HambatchError
        If there is no table, no record or no folder to compare.
    """
    record = read_record(record_path(table))
    chosen = _as_recorded(record, options.engine)
    engine = load_engine(find_engine(chosen.engine))
    plan, tolerance = _where_it_can_be(engine, chosen, source)
    chosen = plan.used
    found = read_table(table, format_of(table, kind), record)
    now = _compare_with_folder(found, table, source, plan, engine, progress)
    other_engine = _engine_differences(record["fingerprint"], now)
    found.differences += other_engine
    # Another engine gives other rows: one line says it better than a sample of them.
    count = 0 if other_engine else options.sample
    bad = {difference.image for difference in found.differences}
    sample = draw({k: row for k, row in found.rows.items() if k not in bad}, count, options.seed)
    same_machine = all(record["fingerprint"].get(part) == now[part] for part in MACHINE)
    temperature = temperature_of(as_wanted(engine.manifest, chosen.calibration))
    exact = same_machine and not _depends_on_place(chosen)
    tolerance = 0.0 if exact else widened(tolerance, temperature)
    # What a plan is refused above if the size of a request moves a probability so far.
    drift = widened(engine.manifest.sentinels.tolerance, temperature)
    again = score_again(source, sample, chosen, tolerance, drift)
    found.differences += again.differences
    proven = _proven(table, source, found, len(sample), again.tolerance, engine)
    return Verdict(found.differences, proven)


def _compare_with_folder(
    found: ReadTable,
    table: Path,
    source: Path,
    plan: RunPlan,
    engine: Engine,
    progress: Progress | None,
) -> Fingerprint:
    """Add what differs between rows and files; give the fingerprint of a run that began now."""
    follow, limits = plan.used.follow_symlinks, plan.job.limits
    with tempfile.TemporaryDirectory(prefix="hambatch-") as place:
        path, leave = Path(place) / "listing", outputs_of(table)
        listing = list_images(source, path, follow_symlinks=follow, leave=leave)
        found.differences += _unreadable(listing)
        compared = compare_files(
            found.rows, listing, reading(source, limits, follow_symlinks=follow)
        )
        shown = progress(compared, listing.count) if progress else compared
        found.differences += [difference for difference in shown if difference]
        return fingerprint_of(source, listing, engine, plan)


def _unreadable(listing: Listing) -> list[Difference]:
    """Name the folders whose files cannot be compared."""
    folders = sorted(listing.survey.unreadable.items())
    return [
        Difference(decode_name(name), "folder cannot be read now", found=why)
        for name, why in folders
    ]


def _as_recorded(record: dict[str, Any], engine: str | None) -> ScoreOptions:
    """Take the options of the run; a recorded name is that of an installed engine.

    Backend and precision are those that were used, whatever would be chosen here and now; so
    is the device, of which one GPU is enough.
    """
    backend = record["fingerprint"]["backend"]
    used = {"precision": backend["precision"], "backend": backend["name"]}
    recorded = replace(options_of(record["options"]), **used, force=True)
    recorded = replace(recorded, device=_one_device(recorded))
    installed = {folder.name: str(folder) for folder in installed_engines()}
    named = installed.get(recorded.engine, recorded.engine)
    return replace(recorded, engine=named if engine is None else engine)


def _where_it_can_be(engine: Engine, options: ScoreOptions, source: Path) -> tuple[RunPlan, float]:
    """Where there is no such GPU, or no TensorRT plan, the CPU scores again what it did.

    Beside the run plan, what a probability may differ by on another machine than the run's, or
    in another place.
    """
    tolerance = engine.manifest.sentinels.elsewhere(options.precision)
    if _depends_on_place(options):
        tolerance = max(tolerance, OTHER_DECODER)
    try:
        plan = plan_run(engine.folder, options, source, build=False)
        computing_device(engine, plan)
    except (BackendError, MissingDependency):
        precision = graph_precision(options.precision)
        on_cpu = replace(options, device=CPU, backend=ON_CPU, precision=precision)
        return plan_run(engine.folder, on_cpu, source), max(tolerance, OTHER_DECODER)
    return plan, tolerance


def _depends_on_place(options: ScoreOptions) -> bool:
    """Tell rows of a sample's other places, which another of a GPU's decoders may decode."""
    return options.backend == ON_GPU and options.decoder.parts_groups


def _one_device(options: ScoreOptions) -> str:
    if options.backend != ON_GPU:
        return CPU
    first, *_ = numbers_in(options.device) or (0,)
    return str(first)


def _engine_differences(recorded: Fingerprint, now: Fingerprint) -> list[Difference]:
    found = [
        Difference("", f"another engine: {key}", str(recorded["engine"].get(key)), str(value))
        for key, value in now["engine"].items()
        if recorded["engine"].get(key) != value
    ]
    # By the engine and the recorded options, so that a record cannot name one of its own.
    told, wanted = _temperature(recorded), _temperature(now)
    if told != wanted:
        found.append(Difference("", "another temperature", told, wanted))
    return found


def _temperature(fingerprint: Fingerprint) -> str:
    return str(fingerprint.get(CALIBRATION, {}).get("temperature", "none"))


def _proven(
    table: Path, source: Path, found: ReadTable, again: int, tolerance: float, engine: Engine
) -> str:
    hashed = sum(1 for row in found.rows.values() if row.sha256)
    agreed = "to the last digit" if not tolerance else f"within {tolerance:.0e}"
    head = f"{encode_name(str(table))}: compared {len(found.rows)} rows with the files of "
    body = (
        f"{encode_name(str(source))}, {hashed} by their sha256, and {again} scored again with "
        f"{encode_name(engine.manifest.name)} {engine.manifest_sha256[:12]}"
    )
    if found.differences:
        return f"{head}{body}: {len(found.differences)} differences"
    return f"{head}{body}: all agree, the probabilities {agreed}"
