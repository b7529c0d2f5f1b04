"""Excel workbooks: the cells of the CSV, never a formula; any is read within bounds."""

import io
import resource
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import openpyxl
import pandas as pd
import pytest

from hambatch.errors import InputError
from hambatch.evaluation.truth import read_truth
from hambatch.sinks import xlsx_table
from hambatch.sinks.columns import COLUMNS, NUMBERS, MalformedTable
from hambatch.sinks.formats import open_table, read_records, read_rows, read_rows_leniently
from hambatch.sources.entry import Entry
from hambatch.system import workbook
from tests.sinks.made_rows import random_rows, write_rows

ODD = (
    "=1+1.jpg",
    "+1",
    "@SUM(A1)",
    "#N/A",
    "#REF!",
    "TRUE",
    "1e5",
    " spaces ",
    "a_x0041_.jpg",
    "%5Fx0041_",
    "end \uffff\ufffe",
    "\U0001f600.jpg",
    "a&b<c>\"d'.jpg",
    "line\nend\t\x00",
    "_x0041_x0042_x0043_.jpg",
)
ROWS = [replace(row, image=name) for row, name in zip(random_rows(len(ODD)), ODD, strict=True)]
CARRIED = ("note", "_x0041_")


def written(place: Path, kind: str) -> Path:
    path = place / f"p.{kind}"
    with open_table(path, kind, CARRIED) as write:
        for name, row in zip(ODD, ROWS, strict=True):
            write(replace(row, carried=(name, None)))
    return path


def test_the_cells_are_those_of_the_csv_and_none_is_a_formula(tmp_path: Path) -> None:
    table, text = written(tmp_path, "xlsx"), written(tmp_path, "csv")
    csv = pd.read_csv(text, dtype=object, keep_default_na=False).to_numpy().tolist()
    (sheet,) = openpyxl.load_workbook(table).worksheets
    header, *rows = sheet.iter_rows()
    assert [cell.value for cell in header] == [*COLUMNS, "note", "%5Fx0041_"]
    for cells, wanted in zip(rows, csv, strict=True):
        for column, cell, value in zip((*COLUMNS, *CARRIED), cells, wanted, strict=True):
            kind = "n" if not value or column in NUMBERS else "s"
            assert cell.data_type == kind, (column, value)
            if column in NUMBERS:
                assert cell.value == (float(value) if value else None)
            elif "_x0041_" not in value and "\uffff" not in value:
                assert (cell.value or "") == value
    shown = pd.read_excel(table, dtype=object, keep_default_na=False)
    assert shown["status"].tolist() == [row.status for row in ROWS]
    assert sheet["A10"].value == "a%5Fx0041_.jpg", "Excel shows a_x0041_.jpg as aA.jpg"
    found = list(read_rows(table, "xlsx", CARRIED))
    assert found == [replace(r, carried=(n, None)) for n, r in zip(ODD, ROWS, strict=True)]


def test_it_has_no_time_and_no_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    with zipfile.ZipFile(write_rows(tmp_path / "p.xlsx", "xlsx", random_rows(3))) as archive:
        assert {part.date_time for part in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"1980-01-01T00:00:00Z" in archive.read("docProps/core.xml")
    assert [path.name for path in tmp_path.iterdir()] == ["p.xlsx"]


def listing(*entries: Entry, count: int = 0) -> SimpleNamespace:
    return SimpleNamespace(count=count or len(entries), entries=lambda: iter(entries))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (listing(count=1_048_576), "1,048,576 images; wanted at most 1,048,575"),
        (listing(Entry("a"), Entry("b" * 32_768)), "32,768 characters for the image bbb"),
        (listing(Entry("a", carried=(None, "\t" * 11_000))), "33,000 characters for the image a"),
        (listing(Entry("a", carried=("\U0001f600" * 16_384,))), "32,768 characters"),
        (listing(Entry("b" * 32_767), count=1_048_575), ""),
    ],
)
def test_what_no_sheet_can_hold_is_found_before_anything_is_scored(
    images: SimpleNamespace, words: str
) -> None:
    found = xlsx_table.problem_with(images)  # type: ignore[arg-type]
    assert words in found
    assert bool(words) == bool(found)


def test_no_cell_is_cut_to_what_excel_takes(tmp_path: Path) -> None:
    row = replace(random_rows(1)[0], image="a" * 32_768)
    with pytest.raises(ValueError, match="a cell of 32768 characters"):
        write_rows(tmp_path / "p.xlsx", "xlsx", [row])


def saved(path: Path, *rows: object, title: str = "one") -> Path:
    """Save a workbook as people do: cells are not all text, and some rows are blank."""
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = title
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def test_labels_of_a_spreadsheet_are_read_with_numbers_dates_and_blank_rows(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "labels.xlsx",
        ["image_id", " DX", "age", None, "seen", None],
        ["7", "nv", 45],
        [None, " "],
        [8, "mel", 61.5, "a note", datetime(2020, 1, 2)],
        [None] * 9,
        [],
    )
    truth = read_truth(path).rows
    assert truth[["image_id", "dx", "age"]].to_numpy().tolist() == [
        ["7", "nv", "45"],
        ["8", "mel", "61.5"],
    ]
    found = list(read_records(path, "xlsx", ""))
    assert len(found) == 3
    assert found[2][""] == "a note"
    assert found[2]["seen"] == "2020-01-02"


def forged(place: Path, change: str) -> Path:
    path = write_rows(place / f"{change}.xlsx", "xlsx", random_rows(3))
    book = openpyxl.load_workbook(path)
    sheet = book.worksheets[0]
    if change == "formula":
        sheet["I3"] = "=I2"
    elif change == "cell":
        sheet["U3"] = "a note"
    elif change == "row":
        sheet.insert_rows(3)
    else:
        book.create_sheet("more")
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("formula", "p_mel '=I2' in row 2"),
        ("cell", "more cells in row 2"),
        ("row", "nothing in row 2"),
        ("sheet", "2 sheets"),
    ],
)
def test_a_table_that_somebody_changed_has_no_such_row(
    tmp_path: Path, change: str, words: str
) -> None:
    path = forged(tmp_path, change)
    try:
        rows = read_rows_leniently(path, "xlsx", "")
        found = [str(row) for row in rows if isinstance(row, MalformedTable)]
    except InputError as error:
        found = [str(error)]
    assert len(found) == 1
    assert words in found[0]


def edited(path: Path, parts: Mapping[str, bytes]) -> Path:
    """Make a workbook of two columns some of whose parts are others."""
    content = io.BytesIO()
    saved(content, ["image", "dx"], ["a", "nv"])  # type: ignore[arg-type]
    strings = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    override = f'<Override PartName="/{STRINGS}" ContentType="{strings}"/></Types>'
    with zipfile.ZipFile(content) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in {*old.namelist(), *parts}:
            part = parts.get(name) or old.read(name)
            if name == "[Content_Types].xml" and STRINGS in parts:
                part = part.replace(b"</Types>", override.encode())
            new.writestr(name, part)
    return path


SHEET, STRINGS = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml"
MAIN = b'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
NAMES = b'<row r="1"><c t="inlineStr"><is><t>image</t></is></c><c><v>1</v></c></row>'


def sheet(rows: bytes, before: bytes = b"") -> dict[str, bytes]:
    return {SHEET: b"%s<worksheet %s><sheetData>%s%s</sheetData></worksheet>" % (
        before, MAIN, NAMES, rows)}  # fmt: skip


def strings(text: bytes) -> bytes:
    return b"<sst %s><si><t>%s</t></si></sst>" % (MAIN, text)


LAUGHS = b'<!DOCTYPE x [<!ENTITY a "%s">%s]>' % (
    b"a" * 100,
    b"".join(b'<!ENTITY %c "%s">' % (98 + k, b"&%c;" % (97 + k) * 100) for k in range(4)),
)
HOSTILE = {
    "a string of 100 MB": ({STRINGS: strings(b"x" * 100_000_000)}, "memory to read"),
    "entities": (sheet(b'<row><c t="str"><v>&e;</v></c></row>', LAUGHS), "amplification factor"),
    "a file of the machine": (
        sheet(b'<row><c t="str"><v>&e;</v></c></row>', b'<!DOCTYPE x [<!ENTITY e SYSTEM "/x">]>'),
        "undefined entity",
    ),
    "a cell of a megabyte": (
        sheet(b'<row><c t="str"><v>%s</v></c></row>' % (b"x" * 1_000_000)),
        "1,000,000 characters in row 2; wanted at most 32,767 in a cell",
    ),
    "a row of all columns": (sheet(b'<row><c r="XFD2"><v>1</v></c></row>'), "16,384 columns"),
    "a string in every cell": (
        {STRINGS: strings(b"x" * 30_000), **sheet(b'<row><c t="s"><v>0</v></c></row>' * 100)},
        "more than 1,000,000 characters of text",
    ),
    "no header": ({SHEET: b"<worksheet %s><sheetData/></worksheet>" % MAIN}, "no header"),
    "no XML": ({SHEET: b"\0" * 50}, "no Excel workbook"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_workbook_that_was_made_to_fill_the_memory_is_refused_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    parts, words = HOSTILE[kind]
    monkeypatch.setattr(workbook, "MOST_MEMORY", 150_000_000)
    monkeypatch.setattr(workbook, "MOST_TEXT", 1_000_000)
    path = edited(tmp_path / "labels.xlsx", parts)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=words) as refused:
        read_truth(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert "wanted " in str(refused.value)


@pytest.mark.parametrize(
    ("head", "words"),
    [(b"\xd0\xcf\x11\xe0", "has a password, or is of the old kind"), (b"a,b", "no Excel workbook")],
)
def test_another_file_is_named_for_what_it_is(tmp_path: Path, head: bytes, words: str) -> None:
    (tmp_path / "p.xlsx").write_bytes(head)
    with pytest.raises(InputError, match=words):
        list(read_rows(tmp_path / "p.xlsx", "xlsx"))


def test_damage_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "p.xlsx", "xlsx", random_rows(300))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        place = archive.getinfo(SHEET).header_offset + archive.getinfo(SHEET).compress_size - 500
    data[place : place + 100] = bytes(100)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"no Excel workbook .*; wanted an undamaged file"):
        list(read_rows(path, "xlsx"))


def test_without_openpyxl_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['openpyxl'] = None\n"
        "from pathlib import Path\n"
        "from hambatch.errors import MissingDependency\n"
        "from hambatch.sinks.formats import open_table, read_rows\n"
        "from hambatch.scoring.start import check_output\n"
        "for use in (lambda: open_table(Path('p'), 'xlsx').__enter__(),\n"
        "            lambda: list(read_rows(Path(sys.argv[0]), 'xlsx')),\n"
        "            lambda: check_output(Path('p.xlsx'), 'xlsx')):\n"
        "    try: use()\n"
        "    except MissingDependency as error: print(error)\n"
    )
    (tmp_path / "use.py").write_text(code)
    command = [sys.executable, "use.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.count("pip install 'hambatch[xlsx]'") == 3
    assert [path.name for path in tmp_path.iterdir()] == ["use.py"]
