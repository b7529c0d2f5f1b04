"""CSV: what a spreadsheet opens, and what comes back from one."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.sinks.formats import read_rows
from hambatch.types import Row
from tests.sinks.made_rows import random_rows, write_rows

ROWS = random_rows(9)


def test_no_cell_starts_a_formula_nor_leaves_its_row(tmp_path: Path) -> None:
    care = np.frombuffer(b"=+-@;,|\"' \t\r\n\xe9%a", np.uint8)
    chosen = np.random.default_rng(1).choice(care, (2_000, 6))
    wild = [os.fsdecode(name.tobytes()) for name in chosen]
    rows = [
        Row(name, "failed", reason=reason) for name, reason in zip(wild, wild[::-1], strict=True)
    ]
    path = write_rows(tmp_path / "p.csv", "csv", rows)
    assert list(read_rows(path, "csv")) == rows
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) == len(rows) + 1
    for delimiter in ",;|":
        for cells in csv.reader(text.splitlines(), delimiter=delimiter):
            assert not [c for c in cells if c.lstrip().startswith(("=", "+", "-", "@"))]


def test_a_row_looks_like_this(tmp_path: Path) -> None:
    p = (0.0, 0.1, 0.0, 0.0, 0.330704, 0.569296, 0.0)
    scored = Row("=a.jpg", "ok", "nv", p, 0.430704, "pillow", "openvino-fp32", "ab" * 32)
    scored = replace(scored, ood=1.25, quality="blurred dark", risk="review", risk_reason="dark")
    path = write_rows(tmp_path / "p.csv", "csv", [scored, Row("b,c.jpg", "failed", reason="gone")])
    assert path.read_bytes().decode().split("\n") == [
        "image,status,prediction,confidence,p_akiec,p_bcc,p_bkl,p_df,p_mel,p_nv,p_vasc,"
        "p_malignant,decoder,backend,sha256,reason,ood,quality,risk,risk_reason",
        "%3Da.jpg,ok,nv,0.569296,0.000000,0.100000,0.000000,0.000000,0.330704,0.569296,0.000000,"
        f"0.430704,pillow,openvino-fp32,{'ab' * 32},,1.250000,blurred dark,review,dark",
        '"b,c.jpg",failed,,,,,,,,,,,,,,gone,,,,',
        "",
    ]


def test_what_a_spreadsheet_saved_is_read(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "p.csv", "csv", ROWS)
    text = path.read_text().replace("1.000000", "1").replace("0.000001", "1E-06")
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert list(read_rows(path, "csv")) == ROWS


@pytest.mark.parametrize("text", ["nan", "inf", "1_0", "0x1", "\uff11", " 0.1", "+1", ""])
def test_what_only_python_takes_for_a_number_is_refused(tmp_path: Path, text: str) -> None:
    path = write_rows(tmp_path / "p.csv", "csv", ROWS[:1])
    path.write_text(path.read_text().replace("1.000000", text), encoding="utf-8")
    with pytest.raises(InputError, match=r"confidence .* in row 1 .*wanted a probability"):
        list(read_rows(path, "csv"))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("p_nv,", "", "wanted also the columns p_nv"),
        ("p_nv,", "p_nv,p_nv,", "several columns p_nv"),
        ("\na/plain.jpg,", "\na/plain.jpg,ok,", r"21 cells in row 1 \(image 'a/plain.jpg'\)"),
        ("\na/plain.jpg,", "\na/plain.jpg;", "19 cells in row 1 .*wanted 20"),
        ("\na/plain.jpg", '\n"a"b', "no CSV"),
    ],
)
def test_a_damaged_table_is_refused_with_the_place(
    tmp_path: Path, old: str, new: str, named: str
) -> None:
    path = write_rows(tmp_path / "p.csv", "csv", ROWS)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=named):
        list(read_rows(path, "csv"))


def test_an_empty_file_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "p.csv").touch()
    with pytest.raises(InputError, match="wanted also the columns image, status"):
        list(read_rows(tmp_path / "p.csv", "csv"))
