"""Structured reports of DICOM images: one zip, not compressed, a member an image.

``reports/`` holds a report of every scored image, named by the number of its row and by the end of
its name. ``rows.csv`` is the table of all images, byte for byte that of ``--format csv``;
``reports.csv`` names the report of each, or says why it has none.
"""

import csv
import io
import re
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple, TextIO

from hambatch.sinks import csv_table
from hambatch.sinks.columns import MalformedTable, Record
from hambatch.sinks.dicom_report import Identified, NoReport, Reporter, ScoredWith, identified
from hambatch.system.files import closed_at_the_end
from hambatch.system.text import encode_name
from hambatch.types import Row

ROWS, REPORTS, FOLDER = "rows.csv", "reports.csv", "reports/"

LONGEST_END = 60
"""Characters of an image's name that stand in that of its report."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+|\.\.+")

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every member: the same rows give the same bytes."""

BAD_ZIP = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error)
"""What :mod:`zipfile` raises at a damaged or strange file."""


class ReportLine(NamedTuple):
    """A line of ``reports.csv``; ``left_empty`` names columns, ``reason`` is of a missing report.

    A line that was read has the image's name encoded.
    """

    image: str
    report: str = ""
    sop_instance_uid: str = ""
    made_utc: str = ""
    left_empty: str = ""
    reason: str = ""

    @property
    def made(self) -> datetime | None:
        """The date of the report; None where there is none, or no run writes such a date."""
        try:
            return datetime.fromisoformat(self.made_utc).astimezone(UTC)
        except ValueError:
            return None


def line_of(image: Identified, name: str, uid: str, made: datetime) -> ReportLine:
    """Give the line of a report that is the member ``name``."""
    date, left = made.isoformat(timespec="seconds"), " ".join(image.left_empty)
    return ReportLine(image.row.image, name, uid, date, left)


@dataclass
class Reporting:
    """What reports say of a run, and how many were made.

    Attributes
    ----------
    scored_with
        The engine.
    made
        When the run began, UTC: the date of its reports.
    frames
        The number of each row's frame, in the order of the rows: 0 for a file that is one image.
    earlier
        The zip that the run brings up to date. A report that would say the same again keeps its
        date and its UID.
    written, missing
        Scored images with a report, and without.
    """

    scored_with: ScoredWith
    made: datetime
    frames: Iterable[int]
    earlier: Path | None = None
    written: int = field(default=0, init=False)
    missing: int = field(default=0, init=False)


@contextmanager
def open_table(
    path: Path,
    carried: Sequence[str] = (),
    reporting: Reporting | None = None,
    *,
    checked: bool = True,
) -> Iterator[Callable[[Row], None]]:
    """Write rows and their reports, one report at a time.

    ``carried`` has the columns of identifiers (``--keep-ids``). Raises OSError when the file
    system refuses, MissingDependency without highdicom.
    """
    if reporting is None:
        raise ValueError("found no engine and no date; wanted what reports say of their run")
    with ExitStack() as stack:
        stream = stack.enter_context(closed_at_the_end(path.open("wb")))
        zipped = stack.enter_context(_zip_into(stream))
        rows, reports = (stack.enter_context(_aside(path.parent)) for _ in (ROWS, REPORTS))
        write_row = csv_table.write_rows(rows, carried)
        write_report = csv.writer(reports, lineterminator="\n").writerow
        write_report(ReportLine._fields)
        writing = _Writing(zipped, carried, reporting)
        frames = iter(reporting.frames)

        def write(row: Row) -> None:
            write_row(row)
            write_report(map(encode_name, writing.report(row, next(frames))))

        yield write
        for name, text in ((ROWS, rows), (REPORTS, reports)):
            _copy(text, zipped, name)


class _Writing:
    """Writes reports into a zip, each with the number of its row."""

    def __init__(
        self, zipped: zipfile.ZipFile, carried: Sequence[str], reporting: Reporting
    ) -> None:
        self._zipped, self._carried, self._reporting = zipped, carried, reporting
        self._reporter = Reporter(reporting.scored_with)
        self._earlier = _Earlier(reporting.earlier)
        self._number = 0

    def report(self, row: Row, frame: int) -> ReportLine:
        """Write the report of a row, if it has one; give its line of ``reports.csv``."""
        self._number += 1
        counts = self._reporting
        try:
            cells = dict(zip(self._carried, row.carried, strict=True))
            image = identified(row, cells, frame)
            made, uid = self._dated(image)
            content = self._reporter.report(image, made)
        except NoReport as error:
            counts.missing += row.status == "ok"
            return ReportLine(row.image, reason=str(error))
        name = report_name(self._number, row.image)
        self._zipped.writestr(_member(name), content)
        counts.written += 1
        return line_of(image, name, uid, made)

    def _dated(self, image: Identified) -> tuple[datetime, str]:
        """Give date and UID: those of the report before, where this one would say the same."""
        made, uid = self._earlier.of(encode_name(image.row.image))
        if made and uid == self._reporter.uid(image, made):
            return made, uid
        return self._reporting.made, self._reporter.uid(image, self._reporting.made)


class _Earlier:
    """Dates and UIDs of the reports of an earlier zip; asked in the order of its rows."""

    def __init__(self, path: Path | None) -> None:
        self._lines = _whole_lines(path) if path else iter(())
        self._next = next(self._lines, None)

    def of(self, image: str) -> tuple[datetime | None, str]:
        """Give what an image's report had, or nothing; ``image`` is encoded."""
        while self._next and self._next.image < image:
            self._next = next(self._lines, None)
        if not self._next or self._next.image != image:
            return None, ""
        return self._next.made, self._next.sop_instance_uid


def _whole_lines(path: Path) -> Iterator[ReportLine]:
    try:
        for line in report_lines(path):
            if not isinstance(line, MalformedTable):
                yield line
    except MalformedTable:
        # Reports of new dates are as right as those of old ones.
        return


def report_lines(path: Path) -> Iterator[ReportLine | MalformedTable]:
    """Yield the lines of ``reports.csv``; raises as :func:`open_member`."""
    for record in _records(path, REPORTS, ReportLine._fields):
        if isinstance(record, MalformedTable):
            yield record
        else:
            yield ReportLine(*(str(record[name] or "") for name in ReportLine._fields))


def read_records(path: Path, wanted: Sequence[str]) -> Iterator[Record | MalformedTable]:
    """Yield one record a row of ``rows.csv``, as of CSV."""
    return _records(path, ROWS, wanted)


def _records(path: Path, name: str, wanted: Sequence[str]) -> Iterator[Record | MalformedTable]:
    with open_member(path, name) as member:
        text = io.TextIOWrapper(member, "utf-8-sig", errors="surrogateescape", newline="")
        try:
            yield from csv_table.records_in(text, wanted)
        except BAD_ZIP as error:
            raise _malformed(f"damage in its {name}") from error


@contextmanager
def open_member(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Open a member of a zip of reports; raises MalformedTable if there is none, or OSError."""
    with ExitStack() as stack:
        try:
            zipped = stack.enter_context(zipfile.ZipFile(path))
            found = [one for one in zipped.infolist() if one.filename == name]
            if len(found) != 1:
                raise _malformed(f"{len(found) or 'no'} {name} in it")
            # What is compressed may be of any size, and no run writes it.
            if found[0].compress_type != zipfile.ZIP_STORED:
                raise _malformed(f"a compressed {name}")
            member = stack.enter_context(zipped.open(found[0]))
        except BAD_ZIP as error:
            raise _malformed("no zip that can be read") from error
        yield member


def _malformed(found: str) -> MalformedTable:
    return MalformedTable(found, "a zip that hambatch score --format dicom-sr wrote")


@contextmanager
def _zip_into(stream: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """Write a zip; a block that fails raises its own exception, whatever its end would raise."""
    zipped = zipfile.ZipFile(stream, "w")
    try:
        yield zipped
    except BaseException:
        with suppress(OSError, ValueError):
            zipped.close()
        raise
    zipped.close()


@contextmanager
def _aside(folder: Path) -> Iterator[TextIO]:
    """Open a file without a name: a zip takes one member after the other."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="", dir=folder) as text:
        yield text


def _copy(text: TextIO, zipped: zipfile.ZipFile, name: str) -> None:
    text.seek(0)
    with zipped.open(_member(name), "w", force_zip64=True) as member:
        while part := text.read(2**20):
            member.write(part.encode())


def _member(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.create_system, info.external_attr = 3, 0o644 << 16
    return info


def report_name(number: int, image: str) -> str:
    """Name the report of a row by its number, from 1, and by the end of the image's name.

    Every file system takes such a name.

    >>> report_name(7, "night/IMG 7.dcm"), report_name(8, "a.dcm!/frame-0002")
    ('reports/0000007_night_IMG_7.dcm', 'reports/0000008_a.dcm_frame-0002.dcm')
    """
    end = _UNSAFE.sub("_", encode_name(image)).removesuffix(".dcm")[-LONGEST_END:]
    return f"{FOLDER}{number:07d}_{end}.dcm"
