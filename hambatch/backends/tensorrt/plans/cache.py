"""The folder of plans, kept for the next start on a GPU of the same model.

A plan is native code: loading one is running it. So it is loaded only from a private folder
(:mod:`hambatch.system.cache`), and only with the very bytes that were built::

    $XDG_CACHE_HOME/hambatch/plans/
        KEY-SHA.plan      what TensorRT built
        KEY.json          what it is (``record.py``), with its sha256
        KEY.lock          held by the process that builds it
        KEY.timing        timings of kernels on one GPU: sha256 of the rest, a newline, the rest

The JSON is written last, and only what it names is loaded: two builds at once leave one whole plan.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hambatch.backends.tensorrt.plans.record import PlanKey, PlanRecord, nearest, read_record
from hambatch.errors import InputError
from hambatch.system.cache import (
    CacheRefused,
    is_file,
    private,
    read_private,
    user_cache,
    write_private,
)
from hambatch.system.files import sha256_of_bytes
from hambatch.system.locks import is_held, locked_in

RECORD, PLAN, TIMING, LOCK = ".json", ".plan", ".timing", ".lock"


class NoPlan(Exception):
    """No kept plan can be used; the message is a few words that say why."""


@dataclass(frozen=True)
class Entry:
    """A record found in the folder, or None, and what is wrong with it or its plan."""

    name: str
    record: PlanRecord | None
    problem: str = ""


@dataclass(frozen=True)
class KeptPlan:
    """A plan's bytes, proven to be those of its record."""

    content: bytes
    record: PlanRecord


@dataclass(frozen=True)
class PlanCache:
    """The folder, opened: ``place`` is its descriptor."""

    folder: Path
    place: int

    def find(self, key: PlanKey) -> KeptPlan:
        """Read the plan of that key.

        Raises NoPlan, which says what part of the key differs, or what is wrong with the plan.
        """
        name = key.name + RECORD
        if name not in os.listdir(self.place):
            different = nearest([e.record.key for e in self.entries() if e.record], key)
            raise NoPlan(f"the nearest has {different}" if different else "none was built yet")
        record = self._record(name)
        if record.key != key:
            raise NoPlan(f"its record is of another plan: {nearest([record.key], key)}")
        return KeptPlan(self._plan(record), record)

    def keep(self, record: PlanRecord, content: bytes) -> None:
        """Write a plan, then its record, then remove what the record no longer names.

        Raises InputError if the folder cannot be written to.
        """
        name = record.key.name
        try:
            write_private(self.place, record.file, content)
            write_private(self.place, name + RECORD, record.to_json())
            for old in os.listdir(self.place):
                if old.startswith(f"{name}-") and old != record.file:
                    self.remove(old)
        except OSError as error:
            raise InputError(
                f"the plan cannot be kept in {self.folder}: {error.strerror}.\n"
                f"Next: {_remedy(error)}"
            ) from error

    def entries(self) -> list[Entry]:
        """Read every record; only :meth:`examine` hashes plans."""
        found = [name for name in self.names() if name.endswith(RECORD) and name[0] != "."]
        return [self._entry(name) for name in found]

    def examine(self, entry: Entry) -> str:
        """Read all of an entry and its plan: what is wrong with them, empty if nothing is."""
        if entry.record is None:
            return entry.problem
        try:
            self._plan(entry.record)
        except NoPlan as problem:
            return str(problem)
        return ""

    def timing(self, name: str) -> bytes:
        """Read a timing cache; empty if there is none, or not all of it."""
        with suppress(CacheRefused):
            line, _, content = read_private(self.place, name + TIMING).partition(b"\n")
            if line == sha256_of_bytes(content).encode():
                return content
        return b""

    def keep_timing(self, name: str, content: bytes) -> None:
        """Write a timing cache; it may be missing, so a failure to write it is no error."""
        line = sha256_of_bytes(content).encode() + b"\n"
        with suppress(OSError):
            write_private(self.place, name + TIMING, line, content)

    @contextmanager
    def building(self, key: PlanKey) -> Iterator[None]:
        """Hold the lock of this plan while the block builds it; waits for another process."""
        with ExitStack() as held:
            try:
                held.enter_context(locked_in(self.place, key.name + LOCK))
            except OSError as error:
                why = f"{self.folder / key.name}{LOCK} cannot be locked: {error.strerror}"
                raise CacheRefused(why, _remedy(error)) from error
            yield

    def being_built(self) -> set[str]:
        """Name the keys of plans that a process builds now."""
        locks = [name for name in self.names() if name.endswith(LOCK)]
        return {name.removesuffix(LOCK) for name in locks if is_held(self.place, name)}

    def irregular(self) -> set[str]:
        """Name what is no regular file, so was not kept by this program."""
        return {name for name in self.names() if not is_file(self.place, name)}

    def names(self) -> list[str]:
        """Name every file of the folder."""
        return sorted(os.listdir(self.place))

    def remove(self, name: str) -> int:
        """Remove a file and return its bytes: 0 if it is gone, or no regular file."""
        with suppress(FileNotFoundError):
            if is_file(self.place, name):
                size = os.stat(name, dir_fd=self.place, follow_symlinks=False).st_size
                os.unlink(name, dir_fd=self.place)
                return size
        return 0

    def _entry(self, name: str) -> Entry:
        try:
            record = self._record(name)
        except NoPlan as problem:
            return Entry(name, None, str(problem))
        if name != record.key.name + RECORD:
            return Entry(name, None, "its record is of another plan")
        return Entry(name, record)

    def _record(self, name: str) -> PlanRecord:
        try:
            return read_record(read_private(self.place, name))
        except CacheRefused as refused:
            raise NoPlan(str(refused)) from refused
        except ValueError as error:
            raise NoPlan(f"{name} is no record of a plan: {error}") from error

    def _plan(self, record: PlanRecord) -> bytes:
        try:
            content = read_private(self.place, record.file)
        except CacheRefused as refused:
            raise NoPlan(str(refused)) from refused
        found = sha256_of_bytes(content)
        if found != record.sha256:
            raise NoPlan(
                f"the plan is damaged: {len(content)} bytes with sha256 {found[:16]}..., "
                f"wanted {record.size_bytes} with {record.sha256[:16]}..."
            )
        return content


@contextmanager
def plan_cache() -> Iterator[PlanCache]:
    """Open the user's own folder of plans; raises InputError if it is missing or not private."""
    folder = user_cache("plans")
    if folder is None:
        raise InputError(
            "plans are kept in the user's cache, and this user has no home.\n"
            "Next: set XDG_CACHE_HOME to a folder of your own"
        )
    try:
        with private(folder) as place:
            yield PlanCache(folder, place)
    except CacheRefused as refused:
        raise InputError(
            f"no plan can be kept: {refused}.\n"
            f"Next: {f'{refused.remedy}, or ' if refused.remedy else ''}"
            "set XDG_CACHE_HOME to a folder of your own"
        ) from refused


def _remedy(error: OSError) -> str:
    """Say what helps where the folder cannot be written to."""
    if error.errno in {errno.EISDIR, errno.ELOOP}:
        return "remove the folder or link that has the file's name"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return "make room there: hambatch engines prune"
    return "make it writable, or set XDG_CACHE_HOME to a folder of your own"
