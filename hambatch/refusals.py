"""What ends a run before, or instead of, a table."""

from collections import Counter
from itertools import islice
from pathlib import Path

from hambatch.errors import InputError
from hambatch.journal.log import RowLog
from hambatch.require import require
from hambatch.run_record import record_path
from hambatch.sources.listing import Listing

ASKED_AT_MOST = 1000
"""Failed rows that are asked for their reasons."""


COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zst", ".zip"})


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
        is_folder, has_parent = out.is_dir(), out.parent.is_dir()
        blocked = record_path(out).is_dir()
        out.exists()
    except OSError as error:
        raise InputError(
            f"{out} cannot be written: {error.strerror}.\nNext: name another --out"
        ) from error
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
    reasons = Counter(log.reason(index) for index in islice(failures, ASKED_AT_MOST))
    log.void(failures)
    named = "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))
    raise InputError(
        f"{len(failures)} of {listing.count} images failed, more than --fail-over {percent:g} %: "
        f"{named}.\nNext: see to what they have in common, then run the same command again: "
        "it tries them once more"
    )
