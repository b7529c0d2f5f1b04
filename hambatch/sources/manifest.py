"""A manifest: a table with the path of an image in each row, and columns that are carried through.

Delimited text is read as programs export it (:mod:`hambatch.system.delimited`), Parquet by row
groups, JSON lines line by line: memory does not grow with the number of rows.
"""

import errno
import json
import math
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from hambatch.engines.classes import COLUMNS
from hambatch.errors import InputError
from hambatch.system import json_lines, parquet
from hambatch.system.delimited import MOST_COLUMNS, NotDelimited, open_delimited, rows_of
from hambatch.system.malformed import LONGEST_PATH, MalformedTable, refusing_malformed
from hambatch.system.text import (
    COLUMNS_NAMED,
    decode_name,
    encode_name,
    excerpt,
    first_names,
    loose_name,
)

SUFFIXES: dict[str, str] = {
    ".csv": "text",
    ".tsv": "text",
    ".tab": "text",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
"""How a manifest is read, by its suffix in lower case."""

NEXT = "correct the manifest, and run the same command again"

IMAGE, SHA256 = "image", "sha256"

_OURS = {loose_name(name): name for name in COLUMNS}

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")

_HASH = re.compile("[0-9a-f]{64}")

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES}
"""Numbers of errors by which no file of that name can be read."""

_Numbered = tuple[int, Sequence[Any]]
"""A row of the table: its number, from 1, and its values in the order of the columns."""


class ManifestRow(NamedTuple):
    """One image of a manifest.

    Attributes
    ----------
    image
        Its path as the file system has it, with surrogate escapes: relative to the manifest's
        folder, or absolute.
    sha256
        What the manifest says of its bytes: 64 hexadecimal digits in lower case, or empty.
    cells
        Those of :attr:`Manifest.carried`; None for a cell without a value.
    problem
        Why the image cannot be scored, as the reason of a failed row; empty if it may be.
    """

    image: str
    sha256: str
    cells: tuple[str | None, ...]
    problem: str = ""


@dataclass(frozen=True)
class Manifest:
    """A manifest whose columns were checked; its rows are read whenever it is iterated.

    ``columns`` are all of them, as they stand in the file, and ``places`` where those of
    ``carried`` stand among them.
    """

    path: Path
    columns: tuple[str, ...]
    places: tuple[int, ...]

    @property
    def carried(self) -> tuple[str, ...]:
        """The columns beyond image and sha256, in the table's order, as they stand there."""
        return tuple(self.columns[place] for place in self.places)

    def __iter__(self) -> Iterator[ManifestRow]:
        """Yield one row an image, in the table's order; rows without a value are left out.

        Raises InputError, naming file and row, at a row that cannot be used, or if there is none.
        """
        ours = {loose_name(name): place for place, name in enumerate(self.columns)}
        image, sha256 = ours[IMAGE], ours.get(SHA256)
        empty = True
        with refusing_malformed(self.path, NEXT):
            for number, values in _rows(self.path, self.columns):
                if all(_is_blank(value) for value in values):
                    continue
                empty = False
                digest = _digest(values[sha256], number) if sha256 is not None else ""
                path, problem = self._path(values[image], number)
                cells = tuple(_cell(values[place], number) for place in self.places)
                yield ManifestRow(path, digest, cells, problem)
            if empty:
                raise MalformedTable("no rows", "one row an image")

    def _path(self, value: Any, number: int) -> tuple[str, str]:
        """Give the path that a cell means, and why it cannot be scored.

        A path stands there as it is, or as :func:`encode_name` writes it: what is there decides.
        """
        if _is_blank(value):
            raise MalformedTable(f"no image in row {number}", "a path in every row")
        if not isinstance(value, str):
            raise MalformedTable(f"image {value!r} in row {number}", "a path, as text")
        if len(value) > LONGEST_PATH:
            found = f"image {excerpt(repr(value))} of {len(value):,} characters in row {number}"
            raise MalformedTable(found, "a path")
        if url := _URL.match(value):
            return value, f"cannot be read: a URL ({url[1]}://), not a path"
        decoded = decode_name(value)
        if decoded == value or encode_name(decoded) != value:
            return value, ""
        if not self._is_there(value):
            return decoded, ""
        if self._is_there(decoded):
            return value, "cannot be read: two files have this name, one as it stands, one encoded"
        return value, ""

    def _is_there(self, image: str) -> bool:
        try:
            os.lstat(self.path.parent / image)
        except ValueError:  # It holds a byte 0.
            return False
        except OSError as error:
            if error.errno not in _ABSENT:
                raise InputError(
                    f"{self.path.parent / image} cannot be looked up: {error.strerror}.\nNext: "
                    "see whether the disk or the network folder works, and run the same command "
                    "again"
                ) from error
            return False
        return True


def open_manifest(path: Path) -> Manifest:
    """Read the columns of a manifest; of JSON lines, whose lines may differ, of all lines.

    Raises InputError if it is no table of the format that its suffix names, if it has no column
    ``image``, a column twice, or one named like a column of our output; MissingDependency if it is
    Parquet, and pyarrow is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        known = ", ".join(SUFFIXES)
        raise InputError(
            f"{path} has the suffix {path.suffix!r}, wanted a manifest with one of {known}.\n"
            "Next: rename it, or save it in one of these formats"
        )
    with refusing_malformed(path, NEXT):
        columns = _columns(path)
        _check(path, columns)
    places = (k for k, name in enumerate(columns) if name and loose_name(name) not in _OURS)
    return Manifest(path, tuple(columns), tuple(places))


def _check(path: Path, columns: Sequence[str]) -> None:
    if len(columns) > MOST_COLUMNS:
        raise MalformedTable(f"{len(columns):,} columns", f"at most {MOST_COLUMNS:,}")
    ours = [name for name in columns if loose_name(name) in _OURS]
    known = [_OURS[loose_name(name)] for name in ours]
    taken = [name for name, own in zip(ours, known, strict=True) if own not in (IMAGE, SHA256)]
    if taken:
        raise InputError(
            f"{path}: found columns {first_names(taken, COLUMNS_NAMED)}; wanted other names for "
            "them, because the output has columns of these names.\nNext: rename them. If it is a "
            "table of hambatch score, write a manifest without them into the folder where its "
            f"paths begin: {_without(path, taken)}"
        )
    if IMAGE not in known:
        found = f"columns {first_names([*filter(None, columns)], COLUMNS_NAMED)}"
        raise MalformedTable(found, "a column image, with the path of an image in each row")
    others = [name for name in columns if name and loose_name(name) not in _OURS]
    counts = Counter((*known, *others))
    if twice := sorted(name for name, count in counts.items() if count > 1):
        found = f"several columns {first_names(twice, COLUMNS_NAMED)}"
        raise MalformedTable(found, "every column once")


def _without(path: Path, columns: Sequence[str]) -> str:
    """Give the command that writes a manifest without some of its columns."""
    suffix = path.suffix.lower()
    tab = ', sep="\\t"' if suffix in (".tsv", ".tab") else ""
    kind, reading, writing = {
        "text": ("csv", f", dtype=str, keep_default_na=False{tab}", f", index=False{tab}"),
        "parquet": ("parquet", "", ", index=False"),
        "jsonl": ("json", ", lines=True, dtype=False", ', orient="records", lines=True'),
    }[SUFFIXES[suffix]]
    table, manifest = json.dumps(str(path)), json.dumps(f"FOLDER/manifest{suffix}")
    code = (
        f"import pandas; pandas.read_{kind}({table}{reading})"
        f".drop(columns={json.dumps(list(columns))}).to_{kind}({manifest}{writing})"
    )
    return f"python -c {shlex.quote(code)}"


def _columns(path: Path) -> list[str]:
    kind = SUFFIXES[path.suffix.lower()]
    if kind == "text":
        try:
            with open_delimited(path) as (_, layout):
                return layout.header
        except NotDelimited as error:
            raise MalformedTable(error.found, error.wanted) from error
    if kind == "parquet":
        return parquet.column_names(path)
    names: dict[str, None] = {}

    def collect(keys: Sequence[str]) -> None:
        names.update(dict.fromkeys(keys))
        if len(names) > MOST_COLUMNS:
            raise MalformedTable("other keys than before", f"at most {MOST_COLUMNS:,} columns")

    for record in json_lines.read_records(path, collect):
        if isinstance(record, MalformedTable):
            raise record
    return list(names)


def _rows(path: Path, columns: Sequence[str]) -> Iterator[_Numbered]:
    """Yield the rows of a table that still has these columns."""
    if SUFFIXES[path.suffix.lower()] == "text":
        yield from _rows_of_text(path, columns)
        return

    def check(names: Sequence[str]) -> None:
        if not set(names) <= set(columns):
            raise _changed()

    module = parquet if SUFFIXES[path.suffix.lower()] == "parquet" else json_lines
    for number, record in enumerate(module.read_records(path, check), 1):
        if isinstance(record, MalformedTable):
            raise record
        yield number, [record.get(name) for name in columns]


def _rows_of_text(path: Path, columns: Sequence[str]) -> Iterator[_Numbered]:
    try:
        with open_delimited(path) as (stream, layout):
            if layout.header != list(columns):
                raise _changed()
            for number, cells in rows_of(stream, layout):
                yield number, cells + [""] * (len(columns) - len(cells))
    except NotDelimited as error:
        raise MalformedTable(error.found, error.wanted) from error


def _changed() -> MalformedTable:
    return MalformedTable("other columns than before", "a table that nobody changes meanwhile")


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _digest(value: Any, number: int) -> str:
    digest = "" if value is None else str(value).strip().lower()
    if digest and not _HASH.fullmatch(digest):
        found = f"sha256 {excerpt(repr(value))} in row {number}"
        raise MalformedTable(found, "64 hexadecimal digits or nothing")
    return digest


def _cell(value: Any, number: int) -> str | None:
    """Give the text of a value: of text itself, else as JSON has it; None for a missing one."""
    if isinstance(value, str):
        return value or None
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bytes):
        try:
            return value.decode() or None
        except UnicodeDecodeError as error:
            found = f"bytes that are no text in row {number}"
            raise MalformedTable(found, "text, numbers, dates, lists or objects") from error
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return json.dumps(value) if isinstance(value, bool | int | float) else _plain(value)


def _plain(value: Any) -> str:
    """Give the text of what JSON has no form for: dates and times as ISO 8601 has them."""
    if isinstance(value, Decimal) or not hasattr(value, "isoformat"):
        return str(value)
    return str(value.isoformat())
