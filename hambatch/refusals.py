"""What ends a run before, or instead of, a table."""

from collections import Counter
from itertools import islice
from pathlib import Path

from hambatch.errors import InputError
from hambatch.journal.log import RowLog
from hambatch.require import require
from hambatch.run_record import record_path
from hambatch.sources.listing import Listing
from hambatch.tables.isic_table import repeated_ids

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
