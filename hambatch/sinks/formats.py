"""Tables of scores: one file a format, all with the same rows.

A new format takes three steps:

1. Write ``hambatch/sinks/NAME_table.py`` with the two functions of :class:`Format`.
2. Add it to :data:`FORMATS`, its suffixes to :data:`SUFFIXES`, and its name to the choices of
   ``--format`` in ``cli/score.py`` and, if it can be read, ``cli/verify.py``.
3. Add it to the cases of ``tests/sinks/test_formats.py`` and to ``docs/output.md``.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from hambatch.errors import InputError
from hambatch.sinks import (
    csv_table,
    dicom_sr_table,
    isic_table,
    jsonl_table,
    parquet_table,
    tsv_table,
    xlsx_table,
)
from hambatch.sinks.columns import (
    SCORE_COLUMNS,
    MalformedTable,
    Record,
    carried_names,
    refusing_malformed,
    row_of,
)
from hambatch.sinks.dicom_sr_table import Reporting
from hambatch.sources.listing import Listing
from hambatch.system.output_names import (
    COMPRESSED,
    FOREIGN,
    SPREADSHEETS,
    misnamed,
    refuse_standard_output,
    refused_suffix,
)
from hambatch.types import Row


class Format(Protocol):
    """What the module of a format holds; a missing package raises MissingDependency."""

    def open_table(
        self, path: Path, carried: Sequence[str] = (), *, checked: bool = True
    ) -> AbstractContextManager[Callable[[Row], None]]:
        """Write rows to exactly this path, with columns of a manifest after those of every table.

        ``checked`` as of :func:`~hambatch.sinks.columns.record_of`.
        Raises OSError when the file system refuses: on opening, writing, or as the block ends.
        A block that ends with an exception of its own raises that.
        """
        ...

    def read_records(self, path: Path, wanted: Sequence[str]) -> Iterator[Record | MalformedTable]:
        """Yield the values of each row, or what is wrong with it, without a check of the values.

        ``wanted`` are columns that have to be there; others are yielded too. Raises
        MalformedTable if the whole file is no such table, OSError if it cannot be read.
        """
        ...


DICOM_SR = "dicom-sr"

FORMATS: dict[str, Format] = {
    "csv": csv_table,
    "tsv": tsv_table,
    "parquet": parquet_table,
    "jsonl": jsonl_table,
    "xlsx": xlsx_table,
    "isic": isic_table,
    DICOM_SR: dicom_sr_table,
}

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".xlsx": "xlsx",
}
"""The format that a suffix chooses; the first suffix of a format is the usual one."""

ONLY_NAMED = {".zip": DICOM_SR}
"""Suffixes of formats that are written only where ``--format`` names them."""

NAMES = {
    "csv": "CSV",
    "tsv": "tab-separated text",
    "parquet": "Parquet",
    "jsonl": "JSON lines",
    "xlsx": "an Excel workbook",
    "isic": "CSV for ISIC",
    DICOM_SR: "a zip of structured reports",
}


def format_of(path: Path, kind: str = "auto") -> str:
    """Choose the format to read: ``kind``, or with ``auto`` what the suffix says, else ``csv``."""
    return (SUFFIXES | ONLY_NAMED).get(path.suffix.lower(), "csv") if kind == "auto" else kind


def format_to_write(out: Path, kind: str = "auto") -> str:
    """Choose the format to write, and refuse a name that promises another one.

    With ``auto`` the suffix has to be of a format, or absent: then it is ``csv``. With a format
    that was named, any suffix is fine that names no other format, such as ``.txt``. Where ``out``
    is a symbolic link, the file that it leads to is held to the same.

    Raises InputError, which names an output that may be written instead.
    """
    refuse_standard_output(out)
    chosen = SUFFIXES.get(out.suffix.lower(), "csv") if kind == "auto" else kind
    suffixes = (SUFFIXES | ONLY_NAMED).items()
    own = [s for s, name in suffixes if name == chosen.replace("isic", "csv")]
    if path := misnamed(out, own, free=kind != "auto"):
        raise _other_suffix(out, path, kind, chosen, own[0])
    return chosen


def refuse_unfit(listing: Listing, kind: str, out: Path) -> None:
    """Raise InputError if the format cannot hold a table of these images, before any is scored."""
    if kind == "xlsx" and (found := xlsx_table.problem_with(listing)):
        raise InputError(f"{out}: {found}.\nNext: --out {out.with_suffix('.csv')}")


def _other_suffix(out: Path, path: Path, kind: str, chosen: str, usual: str) -> InputError:
    if kind != "auto" or path != out:
        return refused_suffix(out, path, NAMES[chosen], "--out", usual)
    known = ", ".join(SUFFIXES)
    if path.suffix.lower() in COMPRESSED:
        found = f"--out {out} promises a compressed file, wanted a plain table: {known}"
        return InputError(f"{found}.\nNext: --out {_plain(out)}")
    foreign = path.suffix.lower() in FOREIGN
    other = "" if foreign else f", or add --format csv to keep {out.suffix}"
    usual = ".xlsx" if path.suffix.lower() in SPREADSHEETS else ".csv"
    return InputError(
        f"--out {out} has the suffix {out.suffix}, wanted one of {known}.\n"
        f"Next: --out {out.with_suffix(usual)}{other}"
    )


def _plain(out: Path) -> Path:
    inner = out.with_suffix("")
    return inner if inner.suffix.lower() in SUFFIXES else out.with_suffix(".csv")


def open_table(
    path: Path,
    kind: str,
    carried: Sequence[str] = (),
    reporting: Reporting | None = None,
    *,
    checked: bool = True,
) -> AbstractContextManager[Callable[[Row], None]]:
    """Open a table of a format to write rows to; raises as :meth:`Format.open_table`.

    ``carried`` names the columns of a manifest, as they stand there; every row holds a cell for
    each of them. ``reporting`` is what structured reports say of their run.
    """
    if kind == DICOM_SR:
        return dicom_sr_table.open_table(path, carried, reporting)
    return FORMATS[kind].open_table(path, carried, checked=checked)


def read_records(path: Path, kind: str, next_step: str) -> Iterator[Record]:
    """Yield the values of a table that people may have made or changed, unchecked.

    Names are as written in the table, columns whatever there is. Raises InputError, which ends
    with ``next_step``, if the file cannot be read in this format.
    """
    with refusing_malformed(path, next_step):
        yield from _whole(FORMATS[kind].read_records(path, ()))


def read_rows(path: Path, kind: str, carried: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows that were written, one by one; the inverse of :func:`open_table`.

    ``carried`` are the columns of :func:`~hambatch.sinks.publish.carried_columns`; all others
    that follow ours were added later, and are left out. Raises InputError, naming the file, the row
    (from 1), the column and what was wanted, if it is not a table that hambatch wrote.
    """
    next_step = f"write it again: hambatch score IMAGES --out {path} --overwrite"
    names = carried_names(carried)
    with refusing_malformed(path, next_step):
        records = _whole(FORMATS[kind].read_records(path, (*SCORE_COLUMNS, *names)))
        for number, record in enumerate(records, 1):
            yield row_of(record, number, names)


def read_rows_leniently(
    path: Path, kind: str, next_step: str, carried: Sequence[str] = ()
) -> Iterator[tuple[Record, Row] | MalformedTable]:
    """Yield each row, as it is written and read, or what is wrong with one that no run wrote.

    ``carried`` as of :func:`read_rows`. Raises InputError if the file cannot be read in this
    format, or every row lacks a column.
    """
    names = carried_names(carried)
    with refusing_malformed(path, next_step):
        found = FORMATS[kind].read_records(path, (*SCORE_COLUMNS, *names))
        for number, record in enumerate(found, 1):
            if isinstance(record, MalformedTable):
                yield record
                continue
            try:
                yield record, row_of(record, number, names)
            except MalformedTable as error:
                yield error


def _whole(records: Iterator[Record | MalformedTable]) -> Iterator[Record]:
    for record in records:
        if isinstance(record, MalformedTable):
            raise record
        yield record
