"""Files that appear whole or not at all, and their SHA-256."""

import errno
import hashlib
import json
import os
import secrets
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, TypeVar

from hambatch.errors import InputError, is_name, refusal_of

NOT_WAITING = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
"""To open what may have become a FIFO since it was looked at: opening that would wait for ever."""


@contextmanager
def open_regular(path: Path) -> Iterator[BufferedReader]:
    """Open a regular file to read; raises OSError at anything else, and never waits for it.

    The look before opening is there because opening a device can have effects; what counts is the
    look at what is open.
    """
    _refuse_special(path, os.stat(path))
    with open(os.open(path, NOT_WAITING), "rb") as stream:
        _refuse_special(path, os.fstat(stream.fileno()))
        yield stream


def _refuse_special(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def sha256_of_file(path: Path) -> str:
    """Hash a file's content; raises OSError as :func:`open_regular`: no pipe makes it wait."""
    with open_regular(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_bytes(content: bytes) -> str:
    """Hash bytes already in memory."""
    return hashlib.sha256(content).hexdigest()


def followed(path: Path) -> Path:
    """Give the file that a symbolic link leads to, whether it exists or not; else ``path``.

    Raises InputError if links lead back to themselves, or another user put the link where all may
    write, as into ``/tmp``: Linux refuses to open such a link (``fs.protected_symlinks``).
    """
    if not os.path.islink(path):
        return path
    with refusing(path):
        folder, owner = os.stat(path.parent), os.lstat(path).st_uid
    shared = folder.st_mode & stat.S_ISVTX and folder.st_mode & stat.S_IWOTH
    if shared and owner not in (os.geteuid(), folder.st_uid):
        raise InputError(
            f"{path} is a symbolic link of another user in a folder that all may write to, "
            "wanted your own.\nNext: name another output"
        )
    target = Path(os.path.realpath(path))
    if os.path.islink(target):
        raise InputError(
            f"{path} is a symbolic link that leads back to itself, wanted a file to write.\n"
            "Next: name another output"
        )
    # What /dev/stdout leads to has no path of its own.
    return path if os.path.exists(path) and not os.path.exists(target) else target


def without_links(path: Path) -> Path:
    """Give the path of the same file or folder in which nothing is a symbolic link."""
    real = os.path.realpath(path)
    return path if real == os.path.abspath(path) else Path(real)


@contextmanager
def making_parents(path: Path) -> Iterator[None]:
    """Make the folders above ``path`` that are missing, with the modes of the umask.

    After an exception those of them that are still empty are removed. Raises InputError if one
    cannot be made.
    """
    made: list[Path] = []
    try:
        with refusing(path):
            for folder in reversed(path.parents):
                if not folder.exists():
                    folder.mkdir()
                    made.append(folder)
                    sync(folder.parent)
        yield
    except BaseException:
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()
        raise


def companion(path: Path, ending: str) -> Path:
    """Name the file that belongs to ``path``: ``preds.csv`` and ``.json`` give ``preds.csv.json``.

    Of a symbolic link it lies beside the file that the link leads to, where it is written, unless
    there is one beside the link. Raises InputError if ``path`` can name no file, as ``.``.
    """
    if not path.name:
        raise InputError(f"{path} is a folder, wanted a file.\nNext: name a file in it")
    here = path.with_name(path.name + ending)
    if os.path.exists(here) or not os.path.islink(path):
        return here
    target = followed(path)
    return target.with_name(target.name + ending)


@contextmanager
def replacing(path: Path, temporary: Path | None = None, mode: int = 0o666) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it takes its place.

    The temporary file is fsynced and renamed when the block ends without an exception, and
    removed when it does not. ``temporary`` names another place for it, on the same file system;
    by default its name is random, since another process may have the same number in another
    container. It is made anew: what has its name already is an error. ``mode`` is the file's, less
    the umask. A symbolic link stays: the file that it leads to is replaced. Raises InputError if
    the folder cannot be written to.
    """
    path = followed(path)
    temporary = temporary or path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with refusing(path):
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode))
    try:
        yield temporary
        with refusing(path):
            sync(temporary)
            os.replace(temporary, path)
            sync(path.parent)
    finally:
        # What cannot be removed is left; it makes nothing of the above untrue.
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turn an error of the file system (a full disk, a missing right) into an InputError.

    It is said to be about ``path``, unless the error names a file in another folder.
    """
    with showing_refusals():
        try:
            yield
        except OSError as error:
            # A name without its folder is that of a file in the folder of ``path``.
            name = os.fsdecode(error.filename) if is_name(error.filename) else ""
            if not os.path.isabs(name):
                error.filename = name = str(path)
            is_elsewhere = not Path(name).absolute().is_relative_to(path.absolute().parent)
            if error.errno in ABOUT_NO_FILE or is_elsewhere:
                raise
            raise InputError(
                f"cannot write {path}: {error.strerror}.\nNext: {_way_out(path)}"
            ) from error


def _way_out(path: Path) -> str:
    """Say how to get an output written that the file system refused."""
    folder = path.absolute().parent
    if not os.path.lexists(folder):
        make = f"mkdir -p {shlex.quote(str(folder))}"
        return f"{make}, then the same command; or name an output in an existing folder"
    return "make room, or name an output in an existing folder that you may write to"


ABOUT_NO_FILE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors that a limit of the machine causes, whatever the file."""


@contextmanager
def showing_refusals() -> Iterator[None]:
    """Turn an error of the system into a HambatchError; a bug stays what it is."""
    try:
        yield
    except OSError as error:
        refused = refusal_of(error)
        if refused is None:
            raise
        raise refused from error


NO_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""What a file system answers that has no fsync, mostly for folders: SMB, some of FUSE. Nothing is
lost by that; a disk that loses data answers EIO, ENOSPC, EDQUOT or EROFS."""


def sync(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk, as far as its file system can."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        # A folder to write to, but not to read.
        if os.path.isdir(path):
            return
        raise
    try:
        sync_open(descriptor)
    finally:
        os.close(descriptor)


def sync_open(descriptor: int) -> None:
    """Flush what is open, as :func:`sync` does."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some answer EBADF for a folder, which can only be opened to read.
        of_folder = error.errno == errno.EBADF and stat.S_ISDIR(os.fstat(descriptor).st_mode)
        if error.errno not in NO_SYNC and not of_folder:
            raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text so that ``path`` is never half-written."""
    with replacing(path) as temporary, refusing(path):
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes so that ``path`` is never half-written."""
    with replacing(path) as temporary, refusing(path):
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with a final newline; NaN is refused."""
    write_text(path, as_json(value))


def as_json(value: Any) -> str:
    """Indented JSON with a final newline."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


CHECKSUM = "sha256"
"""The key under which a JSON object holds the hash of its other values."""


def with_checksum(values: dict[str, Any]) -> dict[str, Any]:
    """Add the checksum of JSON-able ``values``, in the place of any that they have."""
    return {**values, CHECKSUM: checksum_of(values)}


def checksum_of(values: dict[str, Any]) -> str:
    """Hash all values but the checksum itself, whatever their order and the white space.

    SHA-256, lowercase hexadecimal, of the values as JSON in ASCII: keys sorted, no spaces. It
    finds damage, not forgery: whoever changes a value can hash it again.
    """
    others = {name: value for name, value in values.items() if name != CHECKSUM}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"))
    return sha256_of_bytes(text.encode("ascii"))


Stream = TypeVar("Stream", bound=IO[Any])


@contextmanager
def closed_at_the_end(stream: Stream) -> Iterator[Stream]:
    """Close an output stream, which writes what is still buffered.

    Raises OSError if that fails after a block that went well: a full disk must not pass
    unnoticed. A block that did not raises its own exception.
    """
    try:
        yield stream
    except BaseException:
        with suppress(OSError):
            stream.close()
        raise
    stream.close()


@contextmanager
def outside_current_folder() -> Iterator[None]:
    """Work in ``/`` for a moment, as for an import that reads settings of the current folder."""
    # By descriptor: the folder may have been deleted, or renamed meanwhile.
    before = os.open(".", os.O_PATH | os.O_DIRECTORY)
    try:
        os.chdir("/")
        yield
    finally:
        os.fchdir(before)
        os.close(before)
