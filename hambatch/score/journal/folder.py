"""The journal of a run: a private folder beside the output, gone when the run is done.

::

    preds.csv.journal/     mode 0700
        lock               held by the run that writes preds.csv
        listing            the names of the images, sorted (hambatch.sources.listing)
        rows               finished rows, append-only (hambatch.score.journal.rows)
        run.json           fingerprint, what else the folder held, and what became of devices;
                           written last, and again when a device hands over

Without ``run.json`` nothing has begun: what else lies there is made again.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hambatch.errors import InputError
from hambatch.score.journal.rows import RowLog
from hambatch.sources.folder import JOURNAL_MARK, JOURNAL_SUFFIX, LeftOut, Survey
from hambatch.sources.listing import Listing, read_listing
from hambatch.system.files import refusing, sync, write_json
from hambatch.system.locks import locked
from hambatch.system.text import encode_name


@dataclass(frozen=True)
class DeviceHistory:
    """Notes of backends by device, the latest of each, and hand-overs in their order.

    Both as in :class:`hambatch.score.devices.Crew`.
    """

    notes: dict[str, str] = field(default_factory=dict)
    handed_over: list[dict[str, str]] = field(default_factory=list)

    def then(self, later: "DeviceHistory") -> "DeviceHistory":
        """Give both, one after the other; neither is changed."""
        return DeviceHistory({**self.notes, **later.notes}, [*self.handed_over, *later.handed_over])


def history_of(raw: Any) -> DeviceHistory:
    """Read a history back from JSON; versions that did not keep one had none to tell of.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"its devices are {raw!r}, wanted notes and handed_over")
    notes, handed_over = raw.get("notes", {}), raw.get("handed_over", [])
    if not _are_texts(notes):
        raise ValueError(f"its notes of devices are {notes!r}, wanted text by device")
    if not isinstance(handed_over, list) or not all(map(_are_texts, handed_over)):
        raise ValueError(f"its handed_over is {handed_over!r}, wanted a list of from, to and why")
    return DeviceHistory(notes, handed_over)


def _are_texts(raw: Any) -> bool:
    return isinstance(raw, dict) and all(isinstance(value, str) for value in raw.values())


FORMAT = 1


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
        What :meth:`begin` was given, read back; empty before.
    devices
        What became of the run's devices, over all starts.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listing_path = folder / "listing"
        self.about: dict[str, Any] = {}
        self.devices = self._earlier = DeviceHistory()
        self._done = False

    def load(self) -> None:
        """Read what an earlier start left.

        Raises
        ------
        InputError
            If it is damaged, or of another version of hambatch.
        """
        if (self.folder / "run.json").exists():
            self.about = _read(self.folder / "run.json")
            self.devices = self._earlier = history_of(self.about.get("devices", {}))

    @property
    def begun(self) -> bool:
        """Whether an earlier start left rows to go on from."""
        return bool(self.about)

    def begin(
        self,
        fingerprint: dict[str, Any],
        survey: Survey,
        begun_utc: str,
        devices: DeviceHistory | None = None,
    ) -> None:
        """Bind the listing and the rows in the folder to a run; ``devices``: what made them."""
        self.devices = self._earlier = devices or DeviceHistory()
        about = {
            "format": FORMAT,
            "begun_utc": begun_utc,
            "fingerprint": fingerprint,
            "survey": asdict(survey),
            "devices": asdict(self.devices),
        }
        self._write(about)
        with refusing(self.folder.parent):
            sync(self.folder.parent)

    def of_this_start(self, devices: DeviceHistory) -> None:
        """Keep what became of devices since this start began; earlier starts' stays."""
        history = self._earlier.then(devices)
        if history != self.devices:
            self._write(self.about | {"devices": asdict(history)})
            self.devices = history

    def of_earlier_starts(self, devices: DeviceHistory) -> None:
        """Keep what became of devices before this start computed anything."""
        self._earlier = self._earlier.then(devices)
        self.of_this_start(DeviceHistory())

    def _write(self, about: dict[str, Any]) -> None:
        write_json(self.folder / "run.json", about)
        self.about = about

    def listing(self) -> Listing:
        """Read the stored listing.

        Raises
        ------
        InputError
            If it is not the one that the run began with.
        """
        try:
            found = read_listing(self.listing_path)
        except OSError as error:
            raise InputError(
                f"{self.listing_path} cannot be read: {error.strerror}.\n"
                "Next: add --overwrite to start afresh"
            ) from error
        wanted = self.about["fingerprint"]["listing"]["sha256"]
        if found.sha256 != wanted:
            raise InputError(
                f"{self.listing_path} is not the listing that the run began with: "
                f"sha256 {found.sha256}, wanted {wanted}.\nNext: add --overwrite to start afresh"
            )
        return Listing(found.path, found.count, found.sha256, survey_of(self.about["survey"]))

    def rows(self, images: int) -> RowLog:
        """Open the file of rows."""
        return RowLog(self.folder / "rows", images)

    def clear(self) -> None:
        """Forget what an earlier start left."""
        with refusing(self.folder):
            # First what makes it a journal: a kill in between leaves nothing to go on from.
            for name in ("run.json", "rows", "listing"):
                (self.folder / name).unlink(missing_ok=True)
        self.about = {}
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

    Raises
    ------
    InputError
        If another run holds it, the folder refuses or is none of ours, or it is
        damaged.
    """
    folder = journal_folder(output)
    _refuse_foreign(folder)
    with locked(folder / JOURNAL_MARK, output):
        journal = Journal(folder)
        try:
            if not forgotten:
                journal.load()
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


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']!r}, wanted {FORMAT}")
        # Looked up here, so that nothing later meets a journal without them.
        found["fingerprint"]["listing"]["sha256"], found["begun_utc"], survey_of(found["survey"])
        history_of(found.get("devices", {}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no journal that this hambatch can go on from: {error}.\n"
            "Next: add --overwrite to start afresh"
        ) from error
    return found


def survey_of(raw: dict[str, Any]) -> Survey:
    """Read a survey back from JSON."""
    return Survey(LeftOut(**raw["others"]), raw["unreadable"], LeftOut(**raw["links_left"]))
