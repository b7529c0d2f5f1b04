"""The three ways in which a run comes by its listing: afresh, resumed, for a retry."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from hambatch.batches import Row
from hambatch.config import ScoreOptions
from hambatch.engines.loading import Engine
from hambatch.errors import InputError
from hambatch.hashing import sha256_of_file
from hambatch.journal.fingerprint import LIMITS, Fingerprint, fingerprint_of, refuse_other
from hambatch.journal.folder import Journal, survey_of
from hambatch.run_record import read_record, record_path, utc_now
from hambatch.sources.listing import Changes, compare, list_images, store
from hambatch.tables import read_rows

ROWS_AT_ONCE = 1000


def begin(journal: Journal, source: Path, engine: Engine, options: ScoreOptions) -> None:
    """List the folder for a new run."""
    journal.clear()
    follow = options.follow_symlinks
    listing = list_images(source, journal.listing_path, follow_symlinks=follow)
    about = fingerprint_of(source, listing, engine, options)
    journal.begin(about, listing.survey, utc_now())


def go_on(journal: Journal, source: Path, engine: Engine, options: ScoreOptions) -> Changes:
    """Make sure that the run that began is the one that is asked for now.

    The listing stays as it was, so that a resumed run gives what an
    uninterrupted one gives; what came and went since is counted.

    Raises
    ------
    InputError
        If anything that decides a row differs, naming it.
    """
    listing = journal.listing()
    refuse_other(
        journal.about["fingerprint"],
        fingerprint_of(source, listing, engine, options),
        "an unfinished run of other settings has this --out",
        "give the settings it began with, add --overwrite to start afresh, or name another --out",
    )
    again = journal.listing_path.with_name("listing.now")
    try:
        now = list_images(source, again, follow_symlinks=options.follow_symlinks)
        return compare(listing, now)
    finally:
        again.unlink(missing_ok=True)


def begin_again(
    journal: Journal, out: Path, kind: str, source: Path, engine: Engine, options: ScoreOptions
) -> None:
    """Begin with the scored rows of a finished table; its failed ones are what is missing.

    Raises
    ------
    InputError
        If the table is not the one that its record describes, or was made with
        anything else that decides a scored row.
    """
    journal.clear()
    record = read_record(record_path(out))
    _refuse_changed(out, record["output"]["sha256"])
    listing = store((row.image for row in read_rows(out, kind)), journal.listing_path)
    wanted = fingerprint_of(source, listing, engine, options)
    refuse_other(
        _without_limits(record["fingerprint"]),
        _without_limits(wanted),
        f"{out} was made with other settings",
        "give the settings it was made with, or add --overwrite to score all of it again",
    )
    with closing(journal.rows(listing.count)) as log:
        scored = ((k, row) for k, row in enumerate(read_rows(out, kind)) if row.status == "ok")
        for rows in _some(scored):
            log.append(rows)
        log.sync()
    journal.begin(wanted, survey_of(record["not_scored"]), utc_now())


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


def _without_limits(fingerprint: Fingerprint) -> Fingerprint:
    return {part: values for part, values in fingerprint.items() if part != LIMITS}


def _some(rows: Iterator[tuple[int, Row]]) -> Iterator[list[tuple[int, Row]]]:
    while taken := list(islice(rows, ROWS_AT_ONCE)):
        yield taken
