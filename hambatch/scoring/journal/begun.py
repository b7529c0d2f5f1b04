"""What a journal says of its run, in ``run.json``: what began, and what became of devices."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from hambatch.errors import InputError
from hambatch.scoring.journal.fingerprint import other_rules
from hambatch.sources.folder import LeftOut, Survey
from hambatch.system.files import CHECKSUM, as_json, showing_refusals, with_checksum
from hambatch.system.schema import MOST_BYTES, convert, read_json


@dataclass(frozen=True)
class DeviceHistory:
    """Notes of backends by device, the latest of each, and hand-overs in their order.

    Both as in :class:`hambatch.scoring.devices.DevicePool`.
    """

    notes: dict[str, str] = field(default_factory=dict)
    handed_over: list[dict[str, str]] = field(default_factory=list)

    def then(self, later: "DeviceHistory") -> "DeviceHistory":
        """Give both, one after the other; neither is changed."""
        return DeviceHistory({**self.notes, **later.notes}, [*self.handed_over, *later.handed_over])


@dataclass(frozen=True)
class Updating:
    """What a run with ``--update`` knew before it scored anything.

    Attributes
    ----------
    listed_ns
        Before the images were listed; nanoseconds since 1970.
    stats_sha256
        Of what their files looked like (:mod:`hambatch.scoring.update.index`).
    before_sha256
        Of the table that is brought up to date; empty if there was none.
    reused_by_stat, reused_by_sha256
        Rows of that table that are kept, by how it was shown that they are of the bytes that are
        there now.
    refused
        Images that got their failed row without a worker: nothing could be read.
    rehashed
        Files that were read although they looked as at the last run (``--rehash``).
    other_bytes
        Those of them that had other bytes.
    rescored_because
        Why no row could be kept; empty if rows could.
    index_not_used
        Why every file had to be read; empty if that was not so.
    """

    listed_ns: int
    stats_sha256: str
    before_sha256: str = ""
    reused_by_stat: int = 0
    reused_by_sha256: int = 0
    refused: int = 0
    rehashed: int = 0
    other_bytes: LeftOut = field(default_factory=LeftOut)
    rescored_because: str = ""
    index_not_used: str = ""


@dataclass(frozen=True)
class Begun:
    """``run.json``: what the rows of the journal belong to.

    ``oldest_row_utc``: when the first run of a retried table began; empty: this run has all rows.
    ``may_replace``: sha256 of each file at the output's path that the run may replace: what
    ``--overwrite`` or ``--retry-failed`` was given for, and the run's own table.
    ``kept_under``: of a retry, the key (its sha256) that sealed the rows that it began with, empty
    if none is known to; None: every row is this run's own.
    ``updating``: of a run with ``--update``.
    """

    format: Literal[1]
    begun_utc: str
    fingerprint: dict[str, dict[str, Any]]
    survey: dict[str, Any]
    devices: DeviceHistory = field(default_factory=DeviceHistory)
    oldest_row_utc: str = ""
    may_replace: list[str] = field(default_factory=list)
    kept_under: str | None = None
    updating: Updating | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if the fingerprint names no listing, or the survey is not whole."""
        if "sha256" not in self.fingerprint.get("listing", {}):
            raise ValueError("fingerprint.listing.sha256 is missing")
        survey_of(self.survey, "survey")


def survey_of(raw: Any, place: str) -> Survey:
    """Read a survey back from JSON; raises ValueError if a part is missing or unknown."""
    try:
        survey = convert(raw, Survey, exact=True)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error
    # These came later: earlier versions scored what is skipped, and counted archives as others.
    later = ("skipped", "archives")
    missing = [name for name in asdict(survey) if name not in raw and name not in later]
    if missing:
        raise ValueError(f"{place}.{missing[0]} is missing")
    return survey


def content_of(about: Begun) -> bytes:
    """Give the bytes of ``run.json``, with a checksum: a flipped bit resumes no run."""
    return as_json(with_checksum(asdict(about))).encode()


def read_begun(place: int, path: Path) -> Begun | None:
    """Read what an earlier start left; None if it had not begun."""
    with showing_refusals():
        if path.name not in os.listdir(place):
            return None
        descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=place)
        with open(descriptor, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    try:
        raw = read_json(content, dict[str, Any])
        begun = convert(raw, Begun)
        if CHECKSUM not in raw:
            why = other_rules(begun.fingerprint) or "it has no checksum"
            raise ValueError(f"an earlier version of hambatch began it: {why}")
        # Byte by byte: what says the same in other words was not written by a run either.
        if content != content_of(begun):
            raise ValueError("it was changed after it was written: its sha256 does not fit")
        return begun
    except ValueError as error:
        raise InputError(
            f"{path} is no journal that this hambatch can resume: {error}.\n"
            "Next: add --overwrite to start afresh"
        ) from error
