"""The journal of a run: a private folder beside the output, gone when the run is done.

::

    preds.csv.journal/     mode 0700
        lock               held by the run that writes preds.csv
        listing            the names of the images, sorted (hambatch.sources.listing)
        rows               finished rows, append-only (hambatch.journal.log)
        run.json           fingerprint, and what else the folder held; written last

Without ``run.json`` nothing has begun: what else lies there is made again.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hambatch.atomic import refusing, sync, write_json
from hambatch.errors import InputError
from hambatch.journal.lock import locked
from hambatch.journal.log import RowLog
from hambatch.sources.folder import JOURNAL_MARK, JOURNAL_SUFFIX, LeftOut, Survey
from hambatch.sources.listing import Listing, read_listing

FORMAT = 1


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
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.listing_path = folder / "listing"
        self.about: dict[str, Any] = {}

    def load(self) -> None:
        """Read what an earlier start left.

        Raises
        ------
        InputError
            If it is damaged, or of another version of hambatch.
        """
        if (self.folder / "run.json").exists():
            self.about = _read(self.folder / "run.json")

    @property
    def begun(self) -> bool:
        """Whether an earlier start left rows to go on from."""
        return bool(self.about)

    def begin(self, fingerprint: dict[str, Any], survey: Survey, begun_utc: str) -> None:
        """Bind the listing and the rows in the folder to a run."""
        about = {
            "format": FORMAT,
            "begun_utc": begun_utc,
            "fingerprint": fingerprint,
            "survey": asdict(survey),
        }
        write_json(self.folder / "run.json", about)
        sync(self.folder.parent)
        self.about = about

    def listing(self) -> Listing:
        """Read the stored listing.

        Raises
        ------
        InputError
            If it is not the one that the run began with.
        """
        with refusing(self.listing_path):
            found = read_listing(self.listing_path)
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
        """Forget everything; the folder stays locked and empty."""
        with refusing(self.folder):
            # First what makes it a journal: a kill in between leaves nothing to go on from.
            (self.folder / "run.json").unlink(missing_ok=True)
            for name in ("rows", "listing"):
                (self.folder / name).unlink(missing_ok=True)
        self.about = {}

    def remove(self) -> None:
        """Delete the folder: its rows stand in the output now."""
        self.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def open_journal(output: Path, *, afresh: bool = False) -> Iterator[Journal]:
    """Lock and open the journal of an output; one that has not begun is removed at the end.

    Parameters
    ----------
    afresh
        Forget what an earlier start left.

    Raises
    ------
    InputError
        If another run holds it, the folder refuses, or it is damaged.
    """
    folder = journal_folder(output)
    with locked(folder / JOURNAL_MARK, output):
        journal = Journal(folder)
        try:
            if afresh:
                journal.clear()
            journal.load()
            yield journal
        finally:
            if not (journal.begun or (folder / "run.json").exists()):
                shutil.rmtree(folder, ignore_errors=True)


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']!r}, wanted {FORMAT}")
        # Looked up here, so that nothing later meets a journal without them.
        found["fingerprint"]["listing"]["sha256"], found["begun_utc"], survey_of(found["survey"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no journal that this hambatch can go on from: {error}.\n"
            "Next: add --overwrite to start afresh"
        ) from error
    return found


def survey_of(raw: dict[str, Any]) -> Survey:
    """Read a survey back from JSON."""
    return Survey(LeftOut(**raw["others"]), raw["unreadable"], LeftOut(**raw["links_left"]))
