"""A manifest: every format gives the same rows, and what it cannot mean is refused by row."""

import datetime
import json
import os
import shlex
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hambatch.errors import InputError
from hambatch.sinks.columns import COLUMNS
from hambatch.sinks.formats import SUFFIXES
from hambatch.sources.manifest import ManifestRow, open_manifest
from hambatch.system import parquet
from tests.sinks.made_rows import random_rows, write_rows

HASH = "ab" * 32

WANTED = [
    ManifestRow("a/1.jpg", HASH, ("L1", "-34.5")),
    ManifestRow("/scans/b, c.png", "", (None, "x")),
    ManifestRow("ä.jpg", "", ("=cmd", None)),
]
"""The rows of :func:`made`, whatever the format."""

TABLE: dict[str, list[Any]] = {
    "lesion_id": ["L1", None, "=cmd"],
    "image": ["a/1.jpg", "/scans/b, c.png", "ä.jpg"],
    "sha256": [HASH.upper(), None, ""],
    "Age, years": ["-34.5", "x", None],
}


def text_of(delimiter: str) -> str:
    lines = [list(TABLE), *zip(*TABLE.values(), strict=True)]
    quoted = [[f'"{cell or ""}"' for cell in line] for line in lines]
    return "".join(f"{delimiter.join(line)}\r\n" for line in quoted)


FILES = {
    "m.csv": text_of(",").encode(),
    "semicolons.csv": b"\xef\xbb\xbf" + text_of(";").encode(),
    "unicode_text.csv": text_of("\t").encode("utf-16"),
    "excel.csv": f"sep=;\r\n{text_of(';')}".encode(),
    "trailing.csv": text_of(",").replace("\r\n", ",,\r\n").encode() + b",,\r\n\r\n",
    "m.TSV": text_of("\t").encode(),
    "m.jsonl": "".join(
        json.dumps(dict(zip(TABLE, row, strict=True))) + "\n"
        for row in zip(*TABLE.values(), strict=True)
    ).encode(),
}


def made(folder: Path, name: str) -> Path:
    path = folder / name
    if name.endswith(".pq"):
        pq.write_table(pa.table(TABLE), path, row_group_size=2)
    else:
        path.write_bytes(FILES[name])
    return path


def written(folder: Path, *lines: str, name: str = "m.csv") -> Path:
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as refused:
        list(open_manifest(path))
    for words in (str(path), "wanted", "\nNext: "):
        assert words in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", [*FILES, "m.pq"])
def test_every_format_and_excels_export_give_the_same_rows(tmp_path: Path, name: str) -> None:
    manifest = open_manifest(made(tmp_path, name))
    assert manifest.carried == ("lesion_id", "Age, years")
    assert list(manifest) == list(manifest) == WANTED


def test_columns_are_known_in_any_case_and_lines_of_json_may_lack_some(tmp_path: Path) -> None:
    lines = ('{"b": 1, "Image": "x"}', '{"SHA256": "", "Image": "y", "a": 2}')
    manifest = open_manifest(written(tmp_path, *lines, name="m.ndjson"))
    assert manifest.carried == ("b", "a")
    assert list(manifest) == [("x", "", ("1", None), ""), ("y", "", (None, "2"), "")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"),
        ("1.50", "1.5"),
        ("-3", "-3"),
        ("true", "true"),
        ("null", None),
        ("NaN", None),
        ('""', None),
        ('" x "', " x "),
        ('{"b": [1, "é", null], "a": {}}', '{"b":[1,"é",null],"a":{}}'),
    ],
)
def test_values_of_json_are_carried_as_their_text(
    tmp_path: Path, value: str, text: str | None
) -> None:
    path = written(tmp_path, f'{{"image": "a", "v": {value}}}', name="m.jsonl")
    assert [row.cells for row in open_manifest(path)] == [(text,)]


def test_values_of_parquet_are_carried_as_their_text(tmp_path: Path) -> None:
    day, values = datetime.date(2026, 11, 29), [7, 0.1, float("nan"), True, b"x", [1, 2]]
    columns = {f"v{k}": [value] for k, value in enumerate(values)}
    columns |= {"day": [day], "at": [datetime.datetime(2026, 11, 29, 8, 30)], "in": [{"day": day}]}
    kinds = pa.array(["a"]).dictionary_encode(), pa.array([7]).dictionary_encode()
    columns |= dict(zip(("text", "number"), kinds, strict=True))
    pq.write_table(pa.table({"image": ["a"], **columns}), tmp_path / "m.parquet")
    (row,) = open_manifest(tmp_path / "m.parquet")
    wanted = ["7", "0.1", None, "true", "x", "[1,2]", "2026-11-29", "2026-11-29T08:30:00"]
    assert list(row.cells) == [*wanted, '{"day":"2026-11-29"}', "a", "7"]


@pytest.mark.parametrize("suffix", sorted(set(SUFFIXES) - {".xlsx"}))
def test_a_table_of_ours_is_a_manifest_after_the_command_that_the_refusal_gives(
    tmp_path: Path, suffix: str
) -> None:
    rows = random_rows(9)
    path = write_rows(tmp_path / f"p{suffix}", SUFFIXES[suffix], rows)
    message = refusal(path)
    others = [name for name in COLUMNS if name not in ("image", "sha256")]
    assert f"found columns {', '.join(others)};" in message
    command = shlex.split(message.partition("paths begin: ")[2].replace("FOLDER", str(tmp_path)))
    assert command[:2] == ["python", "-c"]
    exec(command[2], {})  # noqa: S102
    again = open_manifest(tmp_path / f"manifest{suffix}")
    assert again.carried == ()
    assert list(again) == [(row.image, row.sha256, (), "") for row in rows]


@pytest.mark.parametrize("name", ["Status", "p_nv", "risk", "Risk Reason"])
def test_a_column_named_like_one_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    message = refusal(written(tmp_path, f"image,{name}", "a,b"))
    assert f"found columns {name}; wanted other names" in message


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("image,x,x", "found several columns x"),
        ("image,x,IMAGE", "found several columns image"),
        ("path,x", "found columns path, x; wanted a column image"),
        (",".join(["image", *map(str, range(10_000))]), "found 10,001 columns"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(tmp_path: Path, header: str, found: str) -> None:
    message = refusal(written(tmp_path, header, "a,b,c"))
    assert found in message


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (",x", "no image in row 2"),
        ("b.jpg,x,abc", "sha256 'abc' in row 2"),
        ("b.jpg,x,,y", "row 2 ('b.jpg' with 4 cells)"),
        ('b.jpg,"x', "no cells in row 2"),
        ("x" * 20_000, "of 20,000 characters in row 2"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused(tmp_path: Path, line: str, found: str) -> None:
    path = written(tmp_path, "image,x,sha256", "a.jpg,1,", line)
    rows = iter(open_manifest(path))
    assert next(rows).image == "a.jpg"
    assert found in refusal(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "found no header"),
        ("image,x\n", "found no rows"),
        ("image\n\n \n", "found no rows"),
    ],
)
def test_a_manifest_of_nothing_is_refused(tmp_path: Path, content: str, found: str) -> None:
    (tmp_path / "m.csv").write_text(content)
    assert found in refusal(tmp_path / "m.csv")


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("{", "no JSON in row 2"),
        ('{"image": 7}', "image 7 in row 2; wanted a path, as text"),
        ('{"x": 7}', "no image in row 2"),
        ('{"image": "a", "image": "b"}', "'image' twice in one object"),
        ('{"image": "a", "x": ' + "[" * 60 + "]" * 60 + "}", "nested too deeply"),
    ],
)
def test_a_line_of_json_that_cannot_be_used_is_refused(
    tmp_path: Path, line: str, found: str
) -> None:
    assert found in refusal(written(tmp_path, '{"image": "a"}', line, name="m.jsonl"))


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "m.parquet").write_bytes(b"PAR1")
    (tmp_path / "book.csv").write_bytes(b"PK\x03\x04")
    (tmp_path / "latin.csv").write_bytes(b"image\ncaf\xe9.jpg\n")
    os.mkfifo(tmp_path / "pipe.csv")
    for name in ("absent.csv", "folder.csv", "m.parquet", "book.csv", "latin.csv", "pipe.csv"):
        assert "found " in refusal(tmp_path / name)
    with pytest.raises(InputError, match=r"suffix '\.xlsx', wanted a manifest with one of \.csv"):
        open_manifest(tmp_path / "m.xlsx")


@pytest.mark.parametrize(
    ("there", "image", "problem"),
    [
        ([b"%3D1.jpg"], "%3D1.jpg", ""),
        ([b"=1.jpg"], "=1.jpg", ""),
        ([b"=1.jpg", b"%3D1.jpg"], "%3D1.jpg", "cannot be read: two files have this name"),
        ([], "=1.jpg", ""),
    ],
)
def test_a_path_stands_there_as_it_is_or_encoded_as_in_our_tables(
    tmp_path: Path, there: list[bytes], image: str, problem: str
) -> None:
    for name in there:
        (tmp_path / os.fsdecode(name)).touch()
    (row,) = open_manifest(written(tmp_path, "image", "%3D1.jpg"))
    assert row.image == image
    assert row.problem.startswith(problem)
    assert bool(row.problem) == bool(problem)


@pytest.mark.parametrize("cell", ["a%20b.jpg", "%41.jpg", "50%.jpg", "../x.jpg", "%3d1.jpg"])
def test_a_path_that_our_tables_would_write_otherwise_stands_for_itself(
    tmp_path: Path, cell: str
) -> None:
    (tmp_path / "a b.jpg").touch()
    (row,) = open_manifest(written(tmp_path, "image", cell))
    assert (row.image, row.problem) == (cell, "")


def test_bytes_that_are_no_text_and_a_byte_0_can_be_named_encoded(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).touch()
    rows = list(open_manifest(written(tmp_path, "image", "caf%E9.jpg", "a%00.jpg")))
    assert [row.image for row in rows] == ["caf\udce9.jpg", "a\0.jpg"]


@pytest.mark.parametrize("url", ["s3://bucket/a.jpg", "HTTPS://host/a%20b.jpg", "file:///a.jpg"])
def test_a_url_is_a_row_that_fails(tmp_path: Path, url: str) -> None:
    (row,) = open_manifest(written(tmp_path, "image,x", f"{url},1"))
    assert (row.image, row.cells) == (url, ("1",))
    assert row.problem.startswith("cannot be read: a URL (")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_memory_does_not_grow_with_the_manifest(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROWS_A_GROUP", 200)
    names = [f"part/{k:050d}.jpg" for k in range(10_000)]
    path = tmp_path / f"m.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"image": names, "x": names}), path, row_group_size=200)
    else:
        lines = (f"{n},{n}" if kind == "csv" else json.dumps({"image": n, "x": n}) for n in names)
        written(tmp_path, *(["image,x"] if kind == "csv" else []), *lines, name=path.name)
    next(iter(open_manifest(path)))
    tracemalloc.start()
    count = sum(1 for _ in open_manifest(path))
    peak_mb = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    assert count == len(names)
    assert peak_mb < 2.5, "ten thousand rows at once take 4 MB"


def test_a_manifest_that_gets_other_columns_is_refused_at_its_rows(tmp_path: Path) -> None:
    manifest = open_manifest(written(tmp_path, "image,x", "a,b"))
    written(tmp_path, "x,image", "a,b")
    with pytest.raises(InputError, match="other columns than before"):
        list(manifest)
