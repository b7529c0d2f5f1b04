"""How a run starts: fresh, resumed or for a retry, and what is refused before any work."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from hambatch.engines.loading import Engine
from hambatch.errors import InputError
from hambatch.score.devices import as_on_gpu, hand_over, takes_over
from hambatch.score.journal.fingerprint import (
    Fingerprint,
    fingerprint_of,
    refuse_other,
    refuse_stricter,
    without_limits,
)
from hambatch.score.journal.folder import Journal, history_of, survey_of
from hambatch.score.journal.rows import RowLog
from hambatch.score.options import ScoreOptions
from hambatch.score.plan import Plan
from hambatch.score.record import options_of, read_record, utc_now
from hambatch.sinks.formats import read_rows
from hambatch.sinks.isic_table import repeated_ids
from hambatch.sinks.publish import outputs_of, record_path
from hambatch.sources.listing import Changes, Listing, compare, list_images, store
from hambatch.system.files import sha256_of_file
from hambatch.system.packages import require
from hambatch.types import Row

ASKED_AT_MOST = 1000
"""Failed rows that are asked for their reasons."""


COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip"})
"""Suffixes that promise what nothing here writes."""


def refuse_format(out: Path, kind: str) -> None:
    """Find out before any work that a table could not be written.

    Raises
    ------
    InputError
        If the suffix promises a compressed file, which nothing here writes.
    MissingDependency
        If the format needs a package that is not installed.
    """
    if out.suffix.lower() in COMPRESSED:
        raise InputError(
            f"{out} promises a compressed file, wanted a plain table or .parquet.\n"
            f"Next: --out {out.with_suffix('')}"
        )
    if kind == "parquet":
        require("pyarrow", extra="parquet", purpose="a Parquet table")


def refuse_impossible(out: Path) -> None:
    """Find an output that can never be written, before anything is made beside it.

    Raises
    ------
    InputError
        If ``out`` or its record is a folder, lies in none, or has no possible name.
    """
    try:
        is_folder, has_parent = not out.name or out.is_dir(), out.parent.is_dir()
        blocked = not is_folder and record_path(out).is_dir()
        is_other = out.exists() and not (is_folder or out.is_file())
    except OSError as error:
        raise InputError(
            f"{out} cannot be written: {error.strerror}.\nNext: name another --out"
        ) from error
    if is_other:
        raise InputError(f"{out} is a device or a pipe, wanted a file.\nNext: name another --out")
    if is_folder or not has_parent:
        found = "is a folder" if is_folder else f"lies in {out.parent}, which is no folder"
        raise InputError(f"{out} {found}, wanted a file to write.\nNext: name another --out")
    if blocked:
        raise InputError(
            f"{record_path(out)} is a folder, wanted room for the record.\nNext: name another --out"
        )


def refuse_existing(out: Path, *, replace: bool) -> None:
    """Protect a finished output.

    Raises
    ------
    InputError
        If ``out`` or its record exists and is not to be replaced.
    """
    existing = [path for path in (out, record_path(out)) if path.exists()]
    if existing and not replace:
        raise InputError(
            f"{existing[0]} exists already.\nNext: add --overwrite to replace it, --retry-failed "
            "to score its failed rows again, or name another --out"
        )


def refuse_repeated_ids(listing: Listing, kind: str) -> None:
    """Refuse a submission in which nobody could tell two images apart.

    Raises
    ------
    InputError
        If the format names images by their id, and several have the same.
    """
    repeated = repeated_ids(listing) if kind == "isic" else []
    if repeated:
        raise InputError(
            f"{len(repeated)} image ids occur several times, the first: {repeated[0]}; a "
            "submission names images by their id alone.\nNext: score one folder after the other, "
            "or write another format"
        )


def refuse_too_many_failed(log: RowLog, listing: Listing, percent: float) -> None:
    """Stop when more than ``percent`` of the listing's images have failed.

    The failed rows are taken back: what made them fail was likely not the
    images, so going on tries them again.

    Raises
    ------
    InputError
        With the most common reasons.
    """
    # 100 % can never be passed; asking first keeps the count off the path of most runs.
    if percent >= 100 or log.failed <= listing.count * percent / 100:
        return
    failures = log.failures()
    reasons = Counter(log.row(index, "").reason for index in islice(failures, ASKED_AT_MOST))
    log.void(failures)
    named = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    raise InputError(
        f"{len(failures)} of {listing.count} images failed, more than --fail-over {percent:g} %: "
        f"{named}.\nNext: see what they have in common, then run the same command again: "
        "it tries them once more"
    )


ROWS_AT_ONCE = 1000


def begin(
    journal: Journal, source: Path, engine: Engine, options: ScoreOptions, out: Path
) -> Changes:
    """List the folder for a new run: nothing can have changed since."""
    journal.clear()
    listing = _list(source, journal.listing_path, options, out)
    about = fingerprint_of(source, listing, engine, options)
    journal.begin(about, listing.survey, utc_now())
    return Changes()


def go_on(journal: Journal, source: Path, engine: Engine, plan: Plan, out: Path) -> Changes:
    """Make sure that the run that began is the one that is asked for now.

    The listing stays as it was, so that a resumed run gives what an
    uninterrupted one gives; what came and went since is counted. Where a GPU is gone that
    nobody asked for, the CPU may do its part.

    Raises
    ------
    InputError
        If anything that decides a row differs, naming it.
    """
    listing, began = journal.listing(), journal.about["fingerprint"]
    now = fingerprint_of(source, listing, engine, plan.options)
    by_cpu = takes_over(journal, plan)
    refuse_other(
        began,
        as_on_gpu(journal, plan, engine, now) if by_cpu else now,
        "an unfinished run of other settings has this --out",
        f"{_restored(began, now)}, add --overwrite to start afresh, or name another --out",
    )
    if by_cpu:
        hand_over(journal, plan)
    return _changes_since(listing, source, plan.options, out)


def begin_again(
    journal: Journal, out: Path, kind: str, source: Path, engine: Engine, options: ScoreOptions
) -> Changes:
    """Begin with the scored rows of a finished table; its failed ones are what is missing.

    As in :func:`go_on`, the listing stays as it was.

    Raises
    ------
    InputError
        If the table is not the one that its record describes, or was made with
        anything else that decides a scored row, or under higher limits.
    """
    journal.clear()
    record = read_record(record_path(out))
    _refuse_changed(out, record["output"]["sha256"])
    listing = store((row.image for row in read_rows(out, kind)), journal.listing_path)
    wanted = fingerprint_of(source, listing, engine, options)
    _refuse_other_settings(out, record["fingerprint"], wanted)
    refuse_stricter(options_of(record["options"]), options, f"{out} was made with other limits")
    changes = _changes_since(listing, source, options, out)
    with closing(journal.rows(listing.count)) as log:
        scored = ((k, row) for k, row in enumerate(read_rows(out, kind)) if row.status == "ok")
        for rows in _some(scored):
            log.append(rows)
        log.sync()
    devices = history_of(record.get("device", {}))
    journal.begin(wanted, survey_of(record["not_scored"]), utc_now(), devices)
    return changes


def _restored(found: Fingerprint, now: Fingerprint) -> str:
    """Say how to get back to what a run began with: of a GPU that is no matter of settings."""
    gpu = found.get("device", {}).get("gpu")
    if gpu and found["device"] != now["device"]:
        return f"run it where its GPU ({gpu}), its driver and its plan are, with its settings"
    return "give the settings it began with"


def _list(source: Path, path: Path, options: ScoreOptions, out: Path) -> Listing:
    follow = options.follow_symlinks
    return list_images(source, path, follow_symlinks=follow, leave=outputs_of(out))


def _changes_since(listing: Listing, source: Path, options: ScoreOptions, out: Path) -> Changes:
    again = listing.path.with_name("listing.now")
    try:
        return compare(listing, _list(source, again, options, out))
    finally:
        again.unlink(missing_ok=True)


def _refuse_changed(out: Path, wanted: str) -> None:
    try:
        found = sha256_of_file(out)
    except OSError as error:
        raise InputError(
            f"{out} cannot be read: {error.strerror}.\n"
            "Next: leave --retry-failed away to score the folder"
        ) from error
    if found != wanted:
        raise InputError(
            f"{out} is not the table that {record_path(out).name} describes: "
            f"sha256 {found}, wanted {wanted}.\n"
            f"Next: restore it, or add --overwrite to score all of it again"
        )


def _refuse_other_settings(out: Path, found: Fingerprint, wanted: Fingerprint) -> None:
    refuse_other(
        without_limits(found),
        without_limits(wanted),
        f"{out} was made with other settings",
        f"{_restored(found, wanted)}, or add --overwrite to score all of it again",
    )


def _some(rows: Iterator[tuple[int, Row]]) -> Iterator[list[tuple[int, Row]]]:
    while taken := list(islice(rows, ROWS_AT_ONCE)):
        yield taken


def is_published(journal: Journal, out: Path) -> bool:
    """Tell whether a kill came between writing the table of this journal and removing it."""
    try:
        record = read_record(record_path(out))
        same_run = record["timing"]["begun_utc"] == journal.about["begun_utc"]
        return bool(same_run) and sha256_of_file(out) == record["output"]["sha256"]
    except (InputError, OSError, KeyError, TypeError):
        return False
