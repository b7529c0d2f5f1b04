"""The journal of a run: a private folder beside the output, gone when the run is done.

It is used only where no other user can have put anything (:mod:`hambatch.system.cache`), and no
link in it is followed. Where a file system cannot hold owner and mode, it lies elsewhere.

::

    preds.csv.journal/     mode 0700
        lock               held by the run that writes preds.csv
        listing            the names of the images, sorted (hambatch.sources.listing)
        rows               finished rows, append-only (hambatch.scoring.journal.rows)
        stats              of --update: what the file of each image looked like when it was listed
        before             of --update: the table that is brought up to date
        run.json           fingerprint, what else the folder held, and what became of devices,
                           with a sha256 of all that; written last, and again when a device
                           hands over

Without ``run.json`` nothing has begun: everything else is made again.
"""

import os
import shlex
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from hambatch.errors import HambatchError, InputError, refusal_of
from hambatch.scoring.journal.begun import (
    Begun,
    DeviceHistory,
    Updating,
    content_of,
    read_begun,
    survey_of,
)
from hambatch.scoring.journal.rows import RowLog
from hambatch.scoring.plan import ON_GPU
from hambatch.sinks.publish import CARRIED
from hambatch.sources.folder import DRAWN_PREFIX, JOURNAL_MARK, JOURNAL_SUFFIX, Survey
from hambatch.sources.listing import Listing, read_listing
from hambatch.system.cache import (
    CacheRefused,
    key_of,
    private,
    refuse_unfit,
    write_private,
)
from hambatch.system.files import (
    ABOUT_NO_FILE,
    closed_at_the_end,
    refusing,
    sha256_of_bytes,
    showing_refusals,
    sync,
    sync_open,
)
from hambatch.system.locks import locked, refuse_lost
from hambatch.system.text import decode_name, encode_name

_KEPT = frozenset({JOURNAL_MARK, "listing", "rows", "stats", "before", "run.json"})
_FILES = _KEPT | {"listing.now", "table.tmp", "record.tmp", "seal.tmp", "0.tmp", "1.tmp"}


def journal_folder(output: Path, journal_dir: Path | None = None) -> Path:
    """``preds.csv`` -> ``preds.csv.journal``; elsewhere with a hash of the output's full path."""
    if journal_dir is None:
        return output.with_name(output.name + JOURNAL_SUFFIX)
    key = sha256_of_bytes(os.fsencode(os.path.realpath(output)))[:12]
    return journal_dir / f"{output.name}.{key}{JOURNAL_SUFFIX}"


class Journal:
    """The folder while its lock is held.

    Attributes
    ----------
    folder
        Where it lies: private, beside the output or in ``--journal-dir``.
    place
        Its open descriptor: files are opened in it, whatever is renamed meanwhile.
    staging
        Where the table is made until it is whole; None: beside the output.
    listing_path
        Where the listing belongs, before :meth:`begin`.
    stats_path, before_path
        Of a run with ``--update``: where :meth:`new_file` puts what the files looked like, and a
        copy of the table that is brought up to date.
    about
        What the run began with; None before :meth:`begin`.
    devices
        What became of the run's devices, over all starts.
    may_replace
        As in :class:`Begun`; :meth:`begin` keeps it.
    kept_under
        As in :class:`Begun`; :meth:`begin` keeps it too.
    secret
        Of the key that signs: marks the rows; empty without one.
    check_lock
        Raises InputError if the lock was removed under way.
    resumed
        Whether an earlier start began what this one goes on with.
    """

    def __init__(
        self, folder: Path, place: int, about: Begun | None = None, staging: Path | None = None
    ) -> None:
        self.folder, self.place, self.about, self.staging = folder, place, about, staging
        self.listing_path = folder / "listing"
        self.stats_path, self.before_path = folder / "stats", folder / "before"
        self.devices = self._earlier = about.devices if about else DeviceHistory()
        self.may_replace = about.may_replace if about else []
        self.kept_under = about.kept_under if about else None
        self.secret = b""
        self.check_lock: Callable[[], None] = lambda: None
        self.resumed = about is not None
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
    def is_update(self) -> bool:
        """Whether an earlier start began a run with ``--update``."""
        return bool(self.about and self.about.updating)

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
        updating: Updating | None = None,
    ) -> None:
        """Bind the listing and the rows in the folder to a run; ``devices``: what made them."""
        self.devices = self._earlier = devices or DeviceHistory()
        parts = (fingerprint, asdict(survey), self.devices, oldest_row_utc)
        self._write(Begun(1, begun_utc, *parts, self.may_replace, self.kept_under, updating))
        with refusing(self.folder.parent):
            sync(self.folder.parent)

    @contextmanager
    def new_file(self, name: str) -> Iterator[BinaryIO]:
        """Write a file of the folder anew, before :meth:`begin`; on the disk when it is closed."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with refusing(self.folder / name):
            descriptor = os.open(name, flags, 0o600, dir_fd=self.place)
            with closed_at_the_end(open(descriptor, "wb")) as stream:
                yield stream
                stream.flush()
                sync_open(descriptor)

    @property
    def is_kept(self) -> bool:
        """Whether the next start finds what this one began; raises OSError where unknown."""
        is_here = os.path.samestat(os.lstat(self.folder), os.fstat(self.place))
        return is_here and os.path.exists(self.folder / "run.json")

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
        with refusing(self.folder / "run.json"):
            write_private(self.place, "run.json", content_of(about), durable=True)
        self.about = about

    def listing(self) -> Listing:
        """Read the stored listing; raises InputError if the run began with another one."""
        with showing_refusals():
            try:
                found = read_listing(self.listing_path)
            except FileNotFoundError as error:
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
        columns = tuple(map(decode_name, self.begun_with.fingerprint["listing"].get(CARRIED, ())))
        survey = survey_of(self.begun_with.survey, "survey")
        return replace(found, survey=survey, columns=columns)

    def rows(self, listing: Listing, fingerprint: dict[str, Any] | None = None) -> RowLog:
        """Open the file of rows; before :meth:`begin`, those of a run with a fingerprint.

        Raises InputError if a row is about another image than the listing has at its index, or
        of a run with another fingerprint.
        """
        run = key_of(fingerprint or self.begun_with.fingerprint)
        log = RowLog(
            self.folder / "rows",
            listing.count,
            run,
            secret=self.secret,
            place=self.place,
            check_lock=self.check_lock,
        )
        if log.done:
            try:
                log.check(listing)
            except InputError:
                log.close()
                raise
        return log

    def clear(self) -> None:
        """Forget what an earlier start left."""
        with refusing(self.folder):
            # First what makes it a journal: a kill in between leaves nothing to resume.
            for name in ("run.json", "rows", "listing", "stats", "before"):
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self.place)
        self.about, self.resumed = None, False
        self.devices = self._earlier = DeviceHistory()

    def done(self) -> None:
        """Let the folder go when it is closed: its rows stand in the output now."""
        self._done = True

    def close(self) -> None:
        """Remove the folder if nothing in it is needed any more; the lock is still held."""
        # An error that ends the run counts more than what is left behind.
        with suppress(OSError, InputError):
            if self._done or "run.json" not in os.listdir(self.place):
                self.clear()
                _sweep(self.place, everything=True)
                if os.path.samestat(os.lstat(self.folder), os.fstat(self.place)):
                    self.folder.rmdir()


@contextmanager
def open_journal(
    output: Path, journal_dir: Path | None = None, *, forgotten: bool = False
) -> Iterator[Journal]:
    """Lock and open the journal of an output; one that has not begun is removed at the end.

    Parameters
    ----------
    journal_dir
        Where it lies instead of beside the output.
    forgotten
        Leave aside what an earlier start left; :meth:`Journal.clear` drops it.

    Raises InputError if another run holds it, or it cannot be written, is not ours, or is damaged.
    """
    folder = journal_folder(output, journal_dir)
    if journal_dir is not None:
        _refuse_unwritable(output)
    mark = folder / JOURNAL_MARK
    with _opened(folder) as place, locked(mark, place, output) as lock:
        with refusing(folder):
            _sweep(place)
        about = None if forgotten else read_begun(place, folder / "run.json")
        journal = Journal(folder, place, about, None if journal_dir else folder)
        journal.check_lock = partial(refuse_lost, mark, place, lock)
        try:
            yield journal
        finally:
            journal.close()


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Open the private folder; raises InputError if it, or anything in it, cannot be trusted."""
    with ExitStack() as stack:
        try:
            place = stack.enter_context(private(folder, parents=False))
            names = sorted(os.listdir(place))
            _refuse_foreign(folder, names)
            for name in names:
                _refuse_untrusted(place, name)
        except (OSError, CacheRefused) as error:
            raise _unusable(folder, error) from error
        try:
            yield place
        except InputError:
            # A lock that was refused leaves no folder behind.
            with suppress(OSError):
                folder.rmdir()
            raise


def _unwritable(folder: Path, error: OSError) -> HambatchError:
    refused = refusal_of(error) if error.errno in ABOUT_NO_FILE else None
    return refused or InputError(
        f"cannot write {folder}: {error.strerror}.\n"
        "Next: name an --out in an existing folder that you may write to, or add --journal-dir "
        "with one"
    )


def _unusable(folder: Path, error: OSError | CacheRefused) -> HambatchError:
    if isinstance(error, OSError):
        return _unwritable(folder, error)
    if isinstance(error.__cause__, OSError):
        return _unwritable(folder, error.__cause__)
    where = "" if error.why.startswith(str(folder)) else f"{folder}: "
    return InputError(
        f"{where}{error.why}, wanted a journal that only you can read and write: its rows may be "
        "another user's.\n"
        f"Next: move it away ({_moved(folder)}); where a file system cannot hold owner and mode "
        "(SMB, FAT), add --journal-dir with a folder on a local disk"
    )


def _moved(folder: Path) -> str:
    return f"mv {shlex.quote(str(folder))} {shlex.quote(f'{folder}.old')}"


def _refuse_untrusted(place: int, name: str) -> None:
    """Raise CacheRefused for a link, or what another user may have written."""
    if name.startswith(DRAWN_PREFIX):
        found = os.stat(name, dir_fd=place, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise CacheRefused(f"{name} is no folder of yours")
    else:
        # A temporary file is only removed: a table's has the mode of the umask.
        refuse_unfit(place, name, forbidden=0o022 if name in _KEPT else 0)


def _refuse_unwritable(output: Path) -> None:
    with refusing(output), tempfile.TemporaryFile(dir=output.parent):
        pass


def _is_ours(name: str) -> bool:
    """Tell files of a journal, and what a kill may have left of its temporary ones."""
    return name in _FILES or name.startswith((DRAWN_PREFIX, ".listing", ".run.json", ".sheet"))


def _refuse_foreign(folder: Path, names: Iterable[str]) -> None:
    foreign = [name for name in names if not _is_ours(name)]
    if foreign:
        raise InputError(
            f"{folder} holds {encode_name(foreign[0])}, which is no part of a journal.\n"
            "Next: move it away, or name another --out"
        )


def _sweep(place: int, *, everything: bool = False) -> None:
    """Remove what a killed run left of temporary files, or all; the lock is held, and goes last."""
    for name in sorted(os.listdir(place), key=lambda name: name == JOURNAL_MARK):
        if name.startswith(DRAWN_PREFIX):
            shutil.rmtree(name, dir_fd=place)
        elif _is_ours(name) and (everything or name not in _KEPT):
            os.unlink(name, dir_fd=place)
