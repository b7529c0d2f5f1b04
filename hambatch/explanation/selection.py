"""The images that are to be explained: named one by one, or taken from a table."""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import installed_engines
from hambatch.errors import InputError
from hambatch.explanation.options import ExplainOptions
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.record import options_of, read_record
from hambatch.scoring.recorded_sources import recorded_sources
from hambatch.sinks.formats import format_of, read_rows
from hambatch.sinks.publish import record_path
from hambatch.sources.entry import Entry
from hambatch.sources.listing import find_images_named
from hambatch.sources.source import Kind, Source, Sources, find_sources
from hambatch.system.files import sha256_of_file
from hambatch.system.text import decode_name, encode_name
from hambatch.types import Row

OF_THE_RUN = (
    *("engine", "follow_symlinks", "archives", "max_ratio", "max_megabytes", "max_megapixels"),
    *("min_side", "max_aspect", "decode_seconds", "salvage_truncated", "all_formats"),
    "calibration",
)
"""Options of a table's run that say which files can be read, and how their scores are meant; the
others depend on its machine."""

MEMBER = "!/"
"""Between the name of an archive and that of a member."""


@dataclass(frozen=True)
class Selection:
    """Images of some sources, and how they are read.

    ``rows`` are those of the table, one an entry, or none; ``table`` says which table that was.
    """

    sources: Sources
    entries: tuple[Entry, ...]
    options: ScoreOptions
    rows: tuple[Row, ...] = ()
    table: dict[str, Any] | None = None


def named_images(paths: Sequence[Path], options: ExplainOptions) -> Selection:
    """Take these images, wherever they lie; one that is not there will be a failed image.

    A path is that of a file, or of an archive, ``!/`` and the member as a table names it.
    """
    how = ScoreOptions.on_cpu(engine=options.engine or ScoreOptions.engine)
    # Below the current folder, and an absolute path is itself.
    anywhere = Sources((Source(Kind.FOLDER, Path()),), follow_symlinks=True)
    members = _members(paths)
    entries = (members.get(path) or Entry(encode_name(str(path))) for path in paths)
    return Selection(anywhere, tuple(entries), how)


def _members(paths: Sequence[Path]) -> dict[Path, Entry]:
    """Find those that are members of an archive; each archive is looked through once."""
    inside: dict[Path, dict[Path, str]] = {}
    for path in paths:
        archive, mark, member = str(path).partition(MEMBER)
        if mark and Path(archive).is_file() and not path.exists():
            inside.setdefault(Path(archive), {})[path] = member
    return {path: e for archive, wanted in inside.items() for path, e in _found(archive, wanted)}


def _found(archive: Path, wanted: Mapping[Path, str]) -> Iterator[tuple[Path, Entry]]:
    """Yield the members of an archive that are wanted, by the paths that name them."""
    nested = any(MEMBER in member for member in wanted.values())
    sources = find_sources([archive], archives=nested)
    prefix = f"{sources.parts[0].label}{MEMBER}"
    names = {f"{prefix}{decode_name(member)}": path for path, member in wanted.items()}
    for name, entry in find_images_named(sources, names).items():
        typed = encode_name(str(archive))
        yield names[name], replace(entry, name=typed + entry.name[entry.cut :], cut=len(typed))


def images_of_table(table: Path, words: Sequence[Path], options: ExplainOptions) -> Selection:
    """Take the rows of the highest probability, of a table that `score` wrote.

    Parameters
    ----------
    words
        Sources where the images lie now; none: where the record says that they were.

    Raises InputError if table or record cannot be read, no row is of that class, or the sources
    are not there, or have none of the images.
    """
    record, sha256 = read_record(record_path(table)), sha256_of_file(table)
    if sha256 != record["output"]["sha256"]:
        raise InputError(
            f"{table} is not the table that {record_path(table).name} describes: wanted sha256 "
            f"{record['output']['sha256']}.\nNext: hambatch verify {table} SOURCE, or restore it"
        )
    run = options_of(record["options"])
    how = ScoreOptions.on_cpu(**{name: getattr(run, name) for name in OF_THE_RUN})
    # The record has the name of an engine that is installed, else its folder.
    installed = {folder.name: str(folder) for folder in installed_engines()}
    how = replace(how, engine=options.engine or installed.get(run.engine, run.engine))
    sources = recorded_sources(record, run, words)
    rows = _highest(table, options)
    entries = _entries(table, rows, sources)
    about = {
        "file": encode_name(str(table)),
        "sha256": sha256,
        "source": sources.recorded,
        "label": options.label,
        "top": options.top,
        "engine_json_sha256": record["fingerprint"]["engine"].get("engine_json_sha256"),
        "precision": record["fingerprint"]["backend"]["precision"],
    }
    return Selection(sources, entries, how, rows, about)


def _entries(table: Path, rows: Sequence[Row], sources: Sources) -> tuple[Entry, ...]:
    """Find the images of rows; one that is gone will be a failed image.

    Raises InputError if all are gone.
    """
    found = find_images_named(sources, [row.image for row in rows])
    if not found:
        raise InputError(
            f"{sources.named} has none of the images that {table} names, such as "
            f"{encode_name(rows[0].image)}.\nNext: give the sources of the run to --source, in the "
            "same order"
        )
    return tuple(found.get(row.image) or _gone(row.image) for row in rows)


def _gone(image: str) -> Entry:
    return Entry(encode_name(image), problem="cannot be read: not found in the sources")


def _highest(table: Path, options: ExplainOptions) -> tuple[Row, ...]:
    predicted: Counter[str] = Counter()

    def fitting() -> Iterator[Row]:
        for row in read_rows(table, format_of(table)):
            if row.status == "ok":
                predicted[row.prediction] += 1
                if options.label in (None, row.prediction):
                    yield row

    # Of equals the first by name, as the table has them.
    found = heapq.nlargest(options.top, fitting(), key=lambda row: max(row.probabilities))
    if not found:
        counts = [f"{predicted[name]} {name}" for name in CLASSES if predicted[name]]
        wanted = f"one predicted {options.label}" if options.label else "a scored image"
        raise InputError(
            f"{table} has no image to explain: predicted are {', '.join(counts) or 'none'}; "
            f"wanted {wanted}.\nNext: another --label, or hambatch score SOURCE --out preds.csv"
        )
    return tuple(found)
