"""The three ways in which a run comes by its listing: afresh, resumed, for a retry."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from hambatch.batches import Row
from hambatch.config import ScoreOptions
from hambatch.engines.loading import Engine
from hambatch.errors import InputError
from hambatch.gpu_gone import as_on_gpu, hand_over, takes_over
from hambatch.hashing import sha256_of_file
from hambatch.journal.device_history import history_of
from hambatch.journal.fingerprint import (
    Fingerprint,
    fingerprint_of,
    refuse_other,
    refuse_stricter,
    without_limits,
)
from hambatch.journal.folder import Journal, survey_of
from hambatch.plan import Plan
from hambatch.recorded import options_of
from hambatch.run_record import outputs_of, read_record, record_path, utc_now
from hambatch.sources.listing import Changes, Listing, compare, list_images, store
from hambatch.tables import read_rows

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
