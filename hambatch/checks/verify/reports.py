"""The structured reports of a zip, against the rows that they were made of."""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hambatch import __version__
from hambatch.checks.verify.table import Difference
from hambatch.errors import MissingDependency
from hambatch.sinks.columns import MalformedTable
from hambatch.sinks.dicom_report import NoReport, Reporter, ScoredWith, identified, report_versions
from hambatch.sinks.dicom_sr_table import (
    BAD_ZIP,
    REPORTS,
    ROWS,
    ReportLine,
    line_of,
    report_lines,
    report_name,
)
from hambatch.sinks.formats import DICOM_SR
from hambatch.sinks.publish import REPORTS as REPORTS_KEY
from hambatch.sinks.publish import carried_in
from hambatch.sources.entry import Entry
from hambatch.system.text import decode_name, encode_name, first_names, plural
from hambatch.types import Row


@dataclass(frozen=True)
class ReportCheck:
    """What of the reports differs, and in words what was not compared, if anything."""

    differences: list[Difference] = field(default_factory=list)
    left: tuple[str, ...] = ()


def check_reports(
    table: Path,
    kind: str,
    record: dict[str, Any],
    rows: Mapping[str, Row],
    sample: Sequence[Row],
    entries: Mapping[str, Entry],
) -> ReportCheck:
    """Compare the list of reports with the rows of the table, and a sample of reports with theirs.

    The reports of the sample are made again, and compared to the last byte, where highdicom and
    pydicom are those that wrote them. Of another format nothing is compared.
    """
    if kind != DICOM_SR:
        return ReportCheck()
    try:
        with zipfile.ZipFile(table) as zipped:
            lines = list(report_lines(table))
            found = list(_list_differences(lines, rows, zipped.namelist()))
            if found:
                return ReportCheck(found)
            if reason := _not_made_again(record):
                return ReportCheck(left=(f"any report, as {reason}",))
            by_image = {line.image: line for line in lines if isinstance(line, ReportLine)}
            again = _Again(record, zipped)
            scored = [row for row in sample if row.status == "ok"]
            for row in scored:
                line = by_image[encode_name(row.image)]
                found += again.differences(row, entries[row.image].frame, line)
    except (MalformedTable, *BAD_ZIP) as error:
        return ReportCheck([Difference("", "zip of reports: no run writes this", found=str(error))])
    left = sum(row.status == "ok" for row in rows.values()) - len(scored)
    words = f"the reports of the other {plural(left, 'scored row')}"
    return ReportCheck(found, (words,) if left else ())


def _list_differences(
    lines: Sequence[ReportLine | MalformedTable], rows: Mapping[str, Row], members: Sequence[str]
) -> Iterator[Difference]:
    """Compare the list of reports with the rows, and with what the zip holds."""
    images = [decode_name(line.image) for line in lines if isinstance(line, ReportLine)]
    if images != list(rows) or len(images) < len(lines):
        yield Difference("", f"{REPORTS} has not one line for each row, in their order")
        return
    named = []
    for number, line in enumerate(lines, 1):
        if not isinstance(line, ReportLine) or not line.report:
            continue
        image = decode_name(line.image)
        named.append(line.report)
        if line.report != report_name(number, image):
            wanted = report_name(number, image)
            yield Difference(image, "report is named otherwise", line.report, wanted)
    if [*members] != [*named, ROWS, REPORTS]:
        other = sorted({*members} ^ {*named, ROWS, REPORTS}) or ["their order"]
        yield Difference("", f"members of the zip are not those of {REPORTS}", first_names(other))


def _not_made_again(record: dict[str, Any]) -> str:
    """Say why no report can be compared to the last byte; empty if each can be."""
    said = record["output"].get(REPORTS_KEY, {})
    wrote = {"hambatch": record["hambatch"], **said}
    try:
        Reporter(_scored_with(record))
    except MissingDependency:
        return "highdicom is not installed"
    now = {"hambatch": __version__, **report_versions()}
    other = [name for name in now if now[name] != wrote.get(name)]
    return ", ".join(f"{name} {wrote.get(name)} wrote it, this is {now[name]}" for name in other)


def _scored_with(record: dict[str, Any]) -> ScoredWith:
    engine = record["engine"]
    keys = ("name", "version", "engine_json_sha256", "graph_sha256")
    return ScoredWith(*(str(engine.get(key)) for key in keys))


class _Again:
    """Makes reports again, and compares them with those in the zip."""

    def __init__(self, record: dict[str, Any], zipped: zipfile.ZipFile) -> None:
        self._reporter = Reporter(_scored_with(record))
        self._carried, self._zipped = carried_in(record), zipped

    def differences(self, row: Row, frame: int, line: ReportLine) -> Iterator[Difference]:
        """Compare a report, and what its line says of it, with those of the row."""
        cells = dict(zip(self._carried, row.carried, strict=True))
        name, made = encode_name(row.image), line.made
        try:
            image = identified(row, cells, frame)
            # Whether there can be a report at all does not depend on its date.
            content = self._reporter.report(image, made or datetime.now(UTC))
        except NoReport as error:
            wanted, content = ReportLine(name, reason=str(error)), b""
        else:
            if made is None or not line.report:
                yield Difference(row.image, "report is missing, or has no date", line.made_utc)
                return
            uid = self._reporter.uid(image, made)
            wanted = line_of(image, line.report, uid, made)._replace(image=name)
        if line != wanted:
            shown = (" ".join(one[1:]) for one in (line, wanted))
            yield Difference(row.image, f"{REPORTS}: line is not that of its row", *shown)
        elif line.report and self._zipped.read(line.report) != content:
            yield Difference(row.image, "report is not the one that a run makes of its row")
