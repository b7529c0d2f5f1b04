"""The journal of a run: a private folder beside the output, gone when the run is done.

::

    preds.csv.journal/     mode 0700
        lock               held by the run that writes preds.csv
        listing            the names of the images, sorted (hambatch.sources.listing)
        rows               finished rows, append-only (hambatch.score.journal.rows)
        run.json           fingerprint, what else the folder held, and what became of devices;
                           written last, and again when a device hands over

Without ``run.json`` nothing has begun: everything else is made again.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from hambatch.errors import InputError
from hambatch.score.journal.rows import RowLog
from hambatch.score.plan import ON_GPU
from hambatch.sources.folder import JOURNAL_MARK, JOURNAL_SUFFIX, Survey
from hambatch.sources.listing import Listing, read_listing
from hambatch.system.files import refusing, sync, write_json
from hambatch.system.locks import locked
from hambatch.system.schema import convert, read_json
from hambatch.system.text import encode_name


@dataclass(frozen=True)
class DeviceHistory:
    """Notes of backends by device, the latest of each, and hand-overs in their order.

    Both as in :class:`hambatch.score.devices.DevicePool`.
    """

    notes: dict[str, str] = field(default_factory=dict)
    handed_over: list[dict[str, str]] = field(default_factory=list)

    def then(self, later: "DeviceHistory") -> "DeviceHistory":
        """Give both, one after the other; neither is changed."""
        return DeviceHistory({**self.notes, **later.notes}, [*self.handed_over, *later.handed_over])


@dataclass(frozen=True)
class Begun:
    """``run.json``: what the rows of the journal belong to.

    ``oldest_row_utc``: when the first run of a retried table began; empty: this run has all rows.
    ``may_replace``: sha256 of each file at the output's path that the run may replace: what
    ``--overwrite`` or ``--retry-failed`` was given for, and the run's own table.
    """

    format: Literal[1]
    begun_utc: str
    fingerprint: dict[str, dict[str, Any]]
    survey: dict[str, Any]
    devices: DeviceHistory = field(default_factory=DeviceHistory)
    oldest_row_utc: str = ""
    may_replace: list[str] = field(default_factory=list)

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
    # ``skipped`` came later: earlier versions scored what it counts.
    missing = [name for name in asdict(survey) if name not in raw and name != "skipped"]
    if missing:
        raise ValueError(f"{place}.{missing[0]} is missing")
    return survey


_FILES = frozenset(
    {JOURNAL_MARK, "listing", "listing.now", "rows", "run.json", "table.tmp", "record.tmp"}
)


def journal_folder(output: Path) -> Path:
    """``preds.csv`` -> ``preds.csv.journal``."""
    return output.with_name(output.name + JOURNAL_SUFFIX)


class Journal:
    """The folder while its lock is held.

    Attributes
    ----------
    folder
        Where it lies: private, beside the output.
    listing_path
        Where the listing belongs, before :meth:`begin`.
    about
        What the run began with; None before :meth:`begin`.
    devices
        What became of the run's devices, over all starts.
    may_replace
        As in :class:`Begun`; :meth:`begin` keeps it.
    """

    def __init__(self, folder: Path, about: Begun | None = None) -> None:
        self.folder, self.about = folder, about
        self.listing_path = folder / "listing"
        self.devices = self._earlier = about.devices if about else DeviceHistory()
        self.may_replace = about.may_replace if about else []
        self._done = False

    @property
    def begun(self) -> bool:
        """Whether an earlier start left rows to resume."""
        return self.about is not None

    @property
    def begun_with(self) -> Begun:
        """What the run began with; AssertionError before :meth:`begin`."""
        if self.about is None:
            raise AssertionError("the journal has not begun")
        return self.about

    @property
    def began_on_gpu(self) -> bool:
        """Whether the run began with the backend of GPUs."""
        backend = self.about.fingerprint.get("backend", {}) if self.about else {}
        return bool(backend.get("name") == ON_GPU)

    def begin(
        self,
        fingerprint: dict[str, Any],
        survey: Survey,
        begun_utc: str,
        devices: DeviceHistory | None = None,
        oldest_row_utc: str = "",
    ) -> None:
        """Bind the listing and the rows in the folder to a run; ``devices``: what made them."""
        self.devices = self._earlier = devices or DeviceHistory()
        parts = (fingerprint, asdict(survey), self.devices, oldest_row_utc)
        self._write(Begun(1, begun_utc, *parts, may_replace=self.may_replace))
        with refusing(self.folder.parent):
            sync(self.folder.parent)

    def note_devices(self, devices: DeviceHistory) -> None:
        """Keep what became of devices since this start began; earlier starts' stays."""
        history = self._earlier.then(devices)
        if history != self.devices:
            self._write(replace(self.begun_with, devices=history))
            self.devices = history

    def note_before_start(self, devices: DeviceHistory) -> None:
        """Keep what became of devices before this start computed anything."""
        self._earlier = self._earlier.then(devices)
        self.note_devices(DeviceHistory())

    def note_table(self, sha256: str) -> None:
        """Keep the hash of the table that is about to be published: a next start replaces it."""
        self.may_replace = [*self.may_replace, sha256]
        self._write(replace(self.begun_with, may_replace=self.may_replace))

    def _write(self, about: Begun) -> None:
        write_json(self.folder / "run.json", asdict(about))
        self.about = about

    def listing(self) -> Listing:
        """Read the stored listing; raises InputError if the run began with another one."""
        try:
            found = read_listing(self.listing_path)
        except OSError as error:
            raise InputError(
                f"{self.listing_path} cannot be read: {error.strerror}.\n"
                "Next: add --overwrite to start afresh"
            ) from error
        wanted = self.begun_with.fingerprint["listing"]["sha256"]
        if found.sha256 != wanted:
            raise InputError(
                f"{self.listing_path} is not the listing that the run began with: "
                f"sha256 {found.sha256}, wanted {wanted}.\nNext: add --overwrite to start afresh"
            )
        return Listing(
            found.path, found.count, found.sha256, survey_of(self.begun_with.survey, "survey")
        )

    def rows(self, images: int) -> RowLog:
        """Open the file of rows."""
        return RowLog(self.folder / "rows", images)

    def clear(self) -> None:
        """Forget what an earlier start left."""
        with refusing(self.folder):
            # First what makes it a journal: a kill in between leaves nothing to resume.
            for name in ("run.json", "rows", "listing"):
                (self.folder / name).unlink(missing_ok=True)
        self.about = None
        self.devices = self._earlier = DeviceHistory()

    def done(self) -> None:
        """Let the folder go when it is closed: its rows stand in the output now."""
        self._done = True

    def close(self) -> None:
        """Remove the folder if nothing in it is needed any more; the lock is still held."""
        if self._done or not (self.folder / "run.json").exists():
            with suppress(OSError):
                self.clear()
                _remove(self.folder)


@contextmanager
def open_journal(output: Path, *, forgotten: bool = False) -> Iterator[Journal]:
    """Lock and open the journal of an output; one that has not begun is removed at the end.

    Parameters
    ----------
    forgotten
        Leave aside what an earlier start left; :meth:`Journal.clear` drops it.

    Raises InputError if another run holds it, or it cannot be written, is not ours, or is damaged.
    """
    folder = journal_folder(output)
    _refuse_foreign(folder)
    with locked(folder / JOURNAL_MARK, output):
        journal = Journal(folder, None if forgotten else _read(folder / "run.json"))
        try:
            yield journal
        finally:
            journal.close()


def _is_ours(name: str) -> bool:
    """Tell files of a journal, and what a kill may have left of its temporary ones."""
    return name in _FILES or name.startswith(("hambatch-", ".listing", ".run.json"))


def _refuse_foreign(folder: Path) -> None:
    try:
        foreign = sorted(name for name in os.listdir(folder) if not _is_ours(name))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise InputError(
            f"{folder} cannot be used for the journal: {error.strerror}.\nNext: name another --out"
        ) from error
    if foreign:
        raise InputError(
            f"{folder} holds {encode_name(foreign[0])}, which is no part of a journal.\n"
            "Next: move it away, or name another --out"
        )


def _remove(folder: Path) -> None:
    for path in sorted(folder.iterdir(), key=lambda path: path.name == JOURNAL_MARK):
        if path.name.startswith("hambatch-"):
            shutil.rmtree(path)
        elif _is_ours(path.name):
            path.unlink()
    folder.rmdir()


def _read(path: Path) -> Begun | None:
    """Read what an earlier start left; None if it had not begun."""
    try:
        return read_json(path.read_bytes(), Begun)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is no journal that this hambatch can resume: {error}.\n"
            "Next: add --overwrite to start afresh"
        ) from error
