"""`hambatch verify`: the table, its record, the files and the engine, against one another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hambatch.checks.options import VerifyOptions
from hambatch.checks.verify.files import ROW_WITHOUT_FILE, Progress, compare_files, listed
from hambatch.checks.verify.proof import Drawn, Proof
from hambatch.checks.verify.record import compare_beside, compare_record
from hambatch.checks.verify.reports import check_reports
from hambatch.checks.verify.row import rules_of
from hambatch.checks.verify.sample import Tolerance, chosen_seed, draw, score_again
from hambatch.checks.verify.sealing import SealCheck, check_seal
from hambatch.checks.verify.table import Difference, read_table
from hambatch.engines.backend_names import graph_precision
from hambatch.engines.loading import Engine, find_engine, installed_engines, load_engine
from hambatch.engines.probabilities import as_wanted, temperature_of, widened
from hambatch.errors import BackendError, InputError, MissingDependency
from hambatch.scoring.device_names import CPU, numbers_in
from hambatch.scoring.journal.fingerprint import (
    CALIBRATION,
    Fingerprint,
    computing_device,
    fingerprint_of,
    has_checks,
    other_rules,
)
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import ON_CPU, ON_GPU, RunPlan, plan_run, sources_of
from hambatch.scoring.record import options_of, read_record, rules_in
from hambatch.sinks.formats import format_of
from hambatch.sinks.publish import carried_in, record_path
from hambatch.sources.entry import Entry
from hambatch.sources.listing import entries_of
from hambatch.sources.source import Sources
from hambatch.system.files import sha256_of_file
from hambatch.system.signing_keys import read_public_key
from hambatch.system.text import encode_name, excerpt, plural
from hambatch.types import Row

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
    table: Path,
    words: Sequence[Path],
    kind: str,
    options: VerifyOptions,
    progress: Progress = lambda compared, total: compared,
) -> Verdict:
    """Compare a finished table with its record, its files and its engine.

    ``words`` name the sources, as for `score`. Raises HambatchError if there is no table, no
    record or no source to compare.
    """
    key = read_public_key(options.key) if options.key else None
    record = read_record(record_path(table))
    seal = check_seal(table, key)
    if kind == "isic":
        return _of_submission(table, record, seal)
    recorded: Fingerprint = record["fingerprint"]
    as_recorded = _as_recorded(record, options.engine)
    engine = load_engine(find_engine(as_recorded.engine))
    sources = sources_of(words, as_recorded, null=options.null)
    plan, other_machine = _plan(engine, as_recorded, sources)
    of_record = (record["output"]["sha256"], carried_in(record))
    rows, unfit, whole = read_table(
        table, format_of(table, kind), *of_record, checked=has_checks(record)
    )
    differences = seal.differences + unfit + _unscored_differences(record, rows, whole, engine)
    differences += compare_beside(record, table)
    with listed(sources, table) as listing:
        differences += compare_files(rows, listing, plan.job.bounds, sources, progress)
        now = fingerprint_of(sources, listing, engine, plan)
        other_engine = _engine_differences(recorded, now)
        differences += other_engine
        # Another engine gives other rows: one line is clearer than a sample of them.
        count, seed = 0 if other_engine else options.sample, chosen_seed(options.seed)
        sample = draw(_unsuspected(rows, differences), count, seed)
        # Earlier versions gave rows to files that are left out now, thumbnails for one.
        entries = {row.image: Entry(encode_name(row.image)) for row in sample}
        entries |= entries_of(listing, entries)
    tolerance = _tolerance(recorded, now, plan.used, engine, other_machine)
    again = score_again(sources, sample, entries, plan.used, tolerance)
    differences += again.differences
    reports = check_reports(table, format_of(table, kind), record, rows, sample, entries)
    differences += reports.differences
    proof = Proof(
        _compared(table, sources, rows),
        f"{encode_name(engine.manifest.name)} {engine.manifest_sha256[:12]}",
        _drawn("ok", sample, rows),
        _drawn("failed", sample, rows),
        seed,
        again.widest,
        "; ".join(
            [
                *_named_by_record(as_recorded, options.engine),
                *reports.left,
                *_other_rules(record, plan),
                seal.not_proven,
            ]
        ),
        _weaker(recorded, now, plan.used),
        (*_renamed(record, table), *filter(None, [seal.said])),
    )
    older = other_rules(recorded) if again.differences else ""
    return _verdict(differences, proof, seal, _other_sources(record, sources, differences), older)


def _other_rules(record: dict[str, Any], plan: RunPlan) -> list[str]:
    """Say it where rows were referred by other certificates than those of the engine now."""
    if not has_checks(record) or rules_in(record) == plan.rules:
        return []
    return ["that the certificates by which rows were referred were in force, as others are now"]


def _verdict(
    differences: list[Difference], proof: Proof, seal: SealCheck, *reasons: str
) -> Verdict:
    """Say in one line what agrees and what that proves, or what differs."""
    if not differences:
        return Verdict([], proof.agreed())
    found = f"{proof.compared_with()}: {plural(len(differences), 'difference')}"
    return Verdict(differences, "; ".join(filter(None, [found, seal.said, *reasons])))


def _other_sources(record: dict[str, Any], sources: Sources, differences: list[Difference]) -> str:
    """Name the sources of the run where others were compared, and rows have no file there."""
    recorded = record.get("source")
    absent = any(difference.what == ROW_WITHOUT_FILE for difference in differences)
    if not absent or recorded == sources.recorded:
        return ""
    named = ", ".join(map(str, recorded)) if isinstance(recorded, list) else str(recorded)
    return f'the record names other sources: "{excerpt(named)}"'


def _of_submission(table: Path, record: dict[str, Any], seal: SealCheck) -> Verdict:
    """Compare a submission with its record and its seal: its rows name neither files nor bytes.

    Raises InputError if no key was given to check the seal with.
    """
    if not seal.said:
        raise InputError(
            f"of {table}, a submission, only the seal can be checked, wanted --key.\n"
            "Next: add --key PUBLIC_KEY, or write a table in another format to compare its rows"
        )
    recorded, now = record["output"]["sha256"], sha256_of_file(table)
    differences = [*seal.differences]
    if now != recorded:
        what = "the table is not the one that was recorded"
        differences.append(Difference("", what, recorded, now))
    found = f"{encode_name(str(table))}: a submission, of which only the sha256 is compared"
    if differences:
        return Verdict(differences, f"{found}: {plural(len(differences), 'difference')}")
    proven = f"{found}: it agrees; {seal.said}. Not proven: any row; {seal.not_proven}"
    return Verdict([], proven)


def _unsuspected(rows: dict[str, Row], differences: list[Difference]) -> dict[str, Row]:
    """Leave out the rows that differ already."""
    wrong = {difference.image for difference in differences}
    return {image: row for image, row in rows.items() if image not in wrong}


def _compared(table: Path, sources: Sources, rows: dict[str, Row]) -> str:
    hashed = sum(1 for row in rows.values() if row.sha256)
    return (
        f"{encode_name(str(table))}: compared {len(rows)} rows with the files of "
        f"{sources.named}, {hashed} by their sha256"
    )


def _unscored_differences(
    record: dict[str, Any], rows: dict[str, Row], whole: bool, engine: Engine
) -> list[Difference]:
    """Compare what needs neither the files nor the network."""
    rules = rules_of(record, engine.manifest)
    found = [difference for row in rows.values() for difference in rules.differences(row)]
    counted = list(rows.values()) if whole else None
    return found + list(compare_record(record, counted, engine))


def _drawn(status: str, sample: list[Row], rows: dict[str, Row]) -> Drawn:
    drawn, of = (sum(1 for row in some if row.status == status) for some in (sample, rows.values()))
    return Drawn(drawn, of)


def _weaker(recorded: Fingerprint, now: Fingerprint, options: ScoreOptions) -> tuple[str, ...]:
    """Say what makes a row scored again differ in its last digits."""
    found = []
    for part in MACHINE:
        was, here = recorded.get(part, {}), now[part]
        for key in sorted(was.keys() | here.keys()):
            if was.get(key) != here.get(key):
                then, there = (encode_name(str(one.get(key, "absent"))) for one in (was, here))
                found.append(f"{part} {key} was {then}, is {there}")
    if _depends_on_batches(options):
        found.append("a row may depend on its batch where --hw-decoder-load is between 0 and 1")
    return tuple(found)


def _renamed(record: dict[str, Any], table: Path) -> tuple[str, ...]:
    """Note that the table got another name since; a move changes no row."""
    # What somebody wrote there may be a whole sentence of our own: it stands in quotes.
    name, recorded = encode_name(table.resolve().name), excerpt(str(record["output"].get("file")))
    return () if name == recorded else (f'the record calls the table "{recorded}"',)


def _named_by_record(options: ScoreOptions, engine: str | None) -> list[str]:
    """Note a folder that only the record names: a forger's engine agrees with a forger's rows."""
    if engine is not None or options.engine in map(str, installed_engines()):
        return []
    return [
        f"that the engine is yours, as only the record names its folder, "
        f"{encode_name(excerpt(options.engine))} (--engine)"
    ]


def _as_recorded(record: dict[str, Any], engine: str | None) -> ScoreOptions:
    """Take the options of the run; a recorded name is that of an installed engine.

    Backend and precision are those that were used, whatever would be chosen here and now; so
    is the device, of which one GPU is enough.
    """
    backend = record["fingerprint"]["backend"]
    used = {"precision": backend["precision"], "backend": backend["name"]}
    recorded = replace(options_of(record["options"]), **used, force=True)
    device, *_ = map(str, numbers_in(recorded.device) or (0,))
    recorded = replace(recorded, device=device if recorded.backend == ON_GPU else CPU)
    installed = {folder.name: str(folder) for folder in installed_engines()}
    named = installed.get(recorded.engine, recorded.engine)
    return replace(recorded, engine=named if engine is None else engine)


def _plan(engine: Engine, options: ScoreOptions, sources: Sources) -> tuple[RunPlan, float]:
    """Resolve the options; without such a GPU, or a TensorRT plan, the CPU scores again.

    Besides the run plan, what a probability may differ by on another machine or in another batch.
    """
    tolerance = engine.manifest.sentinels.elsewhere(options.precision)
    if _depends_on_batches(options):
        tolerance = max(tolerance, OTHER_DECODER)
    try:
        plan = plan_run(engine.folder, options, sources, build=False)
        computing_device(engine, plan)
    except (BackendError, MissingDependency):
        precision = graph_precision(options.precision)
        on_cpu = replace(options, device=CPU, backend=ON_CPU, precision=precision)
        return plan_run(engine.folder, on_cpu, sources), max(tolerance, OTHER_DECODER)
    return plan, tolerance


def _tolerance(
    recorded: Fingerprint,
    now: Fingerprint,
    options: ScoreOptions,
    engine: Engine,
    other_machine: float,
) -> Tolerance:
    same_machine = all(recorded.get(part) == now[part] for part in MACHINE)
    temperature = temperature_of(as_wanted(engine.manifest, options.calibration))
    exact = same_machine and not _depends_on_batches(options)
    return Tolerance(
        0.0 if exact else widened(other_machine, temperature),
        # A TensorRT plan is refused if the size of a request moves a probability further.
        other_request_size=widened(engine.manifest.sentinels.tolerance, temperature),
    )


def _depends_on_batches(options: ScoreOptions) -> bool:
    """Tell whether a row of a sample may be decoded by another of a GPU's decoders."""
    return options.backend == ON_GPU and options.decoder.splits_batches


def _engine_differences(recorded: Fingerprint, now: Fingerprint) -> list[Difference]:
    found = [
        Difference("", f"another engine: {key}", str(recorded["engine"].get(key)), str(value))
        for key, value in now["engine"].items()
        if recorded["engine"].get(key) != value
    ]
    # By the engine and the recorded options, so that a record cannot name one of its own.
    before, wanted = (
        str(p.get(CALIBRATION, {}).get("temperature", "none")) for p in (recorded, now)
    )
    if before != wanted:
        found.append(Difference("", "another temperature", before, wanted))
    return found
