"""Damaged archives beside good ones: read by hambatch's sources alone, and scored in whole runs."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import FrameType

from hambatch.scoring.options import ScoreOptions
from hambatch.sources.archives.reading import Archives
from hambatch.sources.archives.walk import rows_of
from hambatch.sources.archives.windows import Window
from hambatch.sources.content import HEAD_BYTES, image_format
from hambatch.sources.entry import Entry
from hambatch.sources.folder import Survey
from hambatch.sources.listing import store
from hambatch.sources.reading import Fetched, Limits, fetch
from hambatch.sources.source import Sources, find_sources
from hambatch.system.text import encode_name
from tests.faults.archive_damage import Archive
from tests.faults.archive_oracle import Said
from tests.faults.command import Command, rows_of_file
from tests.faults.hostile_archive import ESCAPES

HANG_CPU_S = 20.0
"""Of one archive of a few kilobytes, which takes milliseconds."""

OPTIONS = ScoreOptions()


class Hang(Exception):
    """An archive took far longer than it may."""


@dataclass
class Played:
    """Rows of a round by image, and what went wrong beside them."""

    rows: dict[str, Said]
    crashes: list[str] = field(default_factory=list)
    hangs: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)
    unstable: list[str] = field(default_factory=list)
    exit_code: int = 0


def write_archives(archives: Sequence[Archive], folder: Path) -> Path:
    """Write them into a new folder."""
    folder.mkdir(parents=True)
    for archive in archives:
        (folder / archive.name).write_bytes(archive.content)
    return folder


def read_archives(archives: Sequence[Archive], place: Path) -> Played:
    """Walk, list and read archives in this process: as a run does, in processes of its own."""
    folder = write_archives(archives, place / "archives")
    before = tree(place.parent)
    sources = find_sources([folder], archives=True)
    played = Played({})
    listed = [entry for a in archives for entry in _walked(sources, folder / a.name, played)]
    listing = store(listed, place / "listing", sources)
    opened = Archives()
    bounds = sources.bounds(Limits(int(OPTIONS.max_megabytes * 1e6), 1))
    for index, entry in enumerate(listing.entries()):
        with _guarded(entry.name, played):
            read = fetch(sources.item(index, entry), bounds, archives=opened)
            played.rows[entry.name] = _said(read)
    opened.close()
    (place / "listing").unlink()
    played.outside = changed_in(place.parent, before)
    return played


def _said(read: Fetched) -> Said:
    """A row without decoding: what does not begin as an image does would be a failed one."""
    problem = read.problem
    if not problem and not image_format(read.content[:HEAD_BYTES]):
        problem = "no image"
    if not problem and read.sha256 != sha256(read.content).hexdigest():
        raise AssertionError("the sha256 is not that of the bytes")
    return Said(not problem, read.sha256, problem)


def _walked(sources: Sources, path: Path, played: Played) -> list[Entry]:
    name, entries = encode_name(path.name), []
    with _guarded(path.name, played), path.open("rb") as stream:
        window = Window(stream.fileno(), 0, path.stat().st_size)
        for found in rows_of(window, Survey(), sources.max_ratio, nested=True):
            inside = f"{name}{encode_name(f'!/{found.name}')}" if found.name else name
            entries.append(Entry(inside, cut=len(name), member=found.member, problem=found.problem))
    return entries


@contextmanager
def _guarded(name: str, played: Played) -> Iterator[None]:
    """Take note of any error, and of far too much CPU time."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Hang

    previous = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_CPU_S)
    try:
        yield
    except Hang:
        played.hangs.append(name)
    except Exception as error:
        played.crashes.append(f"{name}: {error!r}")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)


def score_archives(
    archives: Sequence[Archive],
    engine: Path,
    place: Path,
    batch_sizes: Sequence[str] = ("16", "5"),
) -> Played:
    """Score a folder of archives once a batch size; all tables have to be the same."""
    folder = write_archives(archives, place / "archives")
    scratch = place / "scratch"
    commands = [
        Command(
            folder, place / f"p{size}.csv", engine, scratch, ("--archives", "--batch-size", size)
        )
        for size in batch_sizes
    ]
    before = tree(place.parent)
    played = Played({})
    for command in commands:
        try:
            played.exit_code = command.finish(timeout_s=3600)
        except AssertionError as error:
            played.crashes.append(str(error))
            return played
        if "Traceback" in command.said():
            played.crashes.append(command.said())
    tables = [{row["image"]: row for row in rows_of_file(command.out)} for command in commands]
    played.rows = {
        image: Said(row["status"] == "ok", row["sha256"], row["reason"])
        for image, row in tables[0].items()
    }
    wanted = 0 if all(said.ok for said in played.rows.values()) else 3
    if played.exit_code != wanted:
        played.crashes.append(f"exit code {played.exit_code}, wanted {wanted}")
    for table, command in zip(tables[1:], commands[1:], strict=True):
        if command.out.read_bytes() != commands[0].out.read_bytes():
            names = table.keys() | tables[0].keys()
            played.unstable += [n for n in names if table.get(n) != tables[0].get(n)] or ["order"]
    outputs = {path.name for c in commands for path in (c.out, c.record)} | {"scratch", "said"}
    played.outside = [
        path for path in changed_in(place.parent, before) if Path(path).name not in outputs
    ]
    return played


def tree(place: Path) -> dict[str, str]:
    """All files below a folder, and the hash of each; and where members wanted to escape to."""
    escaped = [Path(name) for name in ESCAPES if name.startswith("/")]
    return {
        str(path): sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in [*sorted(place.rglob("*")), *escaped]
        if path.exists()
    }


def changed_in(place: Path, before: dict[str, str]) -> list[str]:
    """Files that came, went or changed."""
    after = tree(place)
    names = before.keys() | after.keys()
    return sorted(name for name in names if before.get(name) != after.get(name))
