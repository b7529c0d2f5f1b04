"""What a run with ``--format dicom-sr`` refuses before any work, and what its reports say of it."""

import logging
from datetime import UTC, datetime
from pathlib import Path

from hambatch.errors import InputError
from hambatch.scoring.record import engine_used
from hambatch.scoring.runner import Run
from hambatch.sinks.dicom_report import UIDS, ScoredWith, require_highdicom
from hambatch.sinks.dicom_sr_table import Reporting
from hambatch.sinks.formats import DICOM_SR
from hambatch.sources.listing import Listing

log = logging.getLogger(__name__)

REPORTS_PER_S = 35
"""Measured on one core of an AMD EPYC; highdicom takes most of the time."""

MANY = 2000
"""Reports that take long enough to say so: a minute."""


def check_reports(kind: str, *, keep_ids: bool) -> None:
    """Find out whether reports can be written; of other formats nothing is asked.

    Raises
    ------
    InputError
        If identifiers are not kept: a report names its patient.
    MissingDependency
        If highdicom is not installed.
    """
    if kind != DICOM_SR:
        return
    if not keep_ids:
        raise InputError(
            f"--format {DICOM_SR} writes reports that name patient and study, wanted --keep-ids "
            "too.\nNext: add --keep-ids, or write a table without them: --format csv"
        )
    require_highdicom()


def refuse_no_dicom(listing: Listing, kind: str) -> None:
    """Raise InputError if reports are wanted, and no image is a DICOM file."""
    if kind != DICOM_SR:
        return
    places = [listing.columns.index(name) for name in UIDS if name in listing.columns]
    carried = (entry.carried for entry in listing.entries())
    if not any(cells and any(cells[place] for place in places) for cells in carried):
        raise InputError(
            f"none of the {listing.count} images is a DICOM file whose header can be read, wanted "
            f"one at least: --format {DICOM_SR} reports on DICOM images only.\n"
            "Next: write --format csv, or name other SOURCEs"
        )


def reporting_of(run: Run) -> Reporting | None:
    """Say what the reports of a run say beside its rows; None where it writes none."""
    if run.kind != DICOM_SR:
        return None
    if run.listing.count >= MANY:
        minutes = run.listing.count / REPORTS_PER_S / 60
        log.warning("all images are scored; writing their reports takes about %.0f min", minutes)
    used = engine_used(run)
    return Reporting(
        ScoredWith(used["name"], used["version"], used["engine_json_sha256"], used["graph_sha256"]),
        made=datetime.fromisoformat(run.journal.begun_with.begun_utc).astimezone(UTC),
        frames=(entry.frame for entry in run.listing.entries()),
        earlier=_earlier(run),
    )


def _earlier(run: Run) -> Path | None:
    """Give the zip that an update or a retry brings up to date."""
    begun = run.journal.begun_with
    if begun.updating:
        return run.journal.before_path if begun.updating.before_sha256 else None
    return run.out if begun.oldest_row_utc and run.out.exists() else None
