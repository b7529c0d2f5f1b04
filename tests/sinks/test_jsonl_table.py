"""JSON lines: one object a row, with CSV's columns."""

import json
from pathlib import Path

import pytest

from hambatch.errors import InputError
from hambatch.sinks.columns import COLUMNS, NUMBERS
from hambatch.sinks.formats import read_rows
from hambatch.types import Row
from tests.sinks.made_rows import random_rows, write_rows

ROWS = random_rows(9)


def test_a_line_looks_like_this(tmp_path: Path) -> None:
    p = (0.0, 0.1, 0.0, 0.0, 0.330704, 0.569296, 0.0)
    scored = Row('"é".jpg', "ok", "nv", p, 0.430704, "pillow", "openvino-fp32", "ab" * 32)
    path = write_rows(tmp_path / "p.jsonl", "jsonl", [scored])
    assert path.read_text(encoding="utf-8") == (
        '{"image": "\\"é\\".jpg", "status": "ok", "prediction": "nv", "confidence": 0.569296, '
        '"p_akiec": 0.000000, "p_bcc": 0.100000, "p_bkl": 0.000000, "p_df": 0.000000, '
        '"p_mel": 0.330704, "p_nv": 0.569296, "p_vasc": 0.000000, "p_malignant": 0.430704, '
        f'"decoder": "pillow", "backend": "openvino-fp32", "sha256": "{"ab" * 32}", '
        '"reason": null, "ood": null, "quality": null, "risk": null, "risk_reason": null}\n'
    )


def test_every_line_is_json_with_all_columns(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "p.jsonl", "jsonl", ROWS)
    for line, row in zip(path.read_text(encoding="utf-8").splitlines(), ROWS, strict=True):
        found = json.loads(line)
        assert tuple(found) == COLUMNS
        wanted = float if row.status == "ok" else type(None)
        assert {type(found[name]) for name in NUMBERS} == {wanted}


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{", "no JSON in row 2"),
        ("[]", r"'\[\]' in row 2; wanted one object a line"),
        ('{"image": "a"}', "columns image in row 2; wanted also the columns status"),
        ('{"image": "\\ud800"}', "no JSON in row 2"),
        ("[" * 100_000, "no JSON in row 2"),
    ],
)
def test_a_damaged_line_is_refused_with_its_row(tmp_path: Path, line: str, named: str) -> None:
    path = write_rows(tmp_path / "p.jsonl", "jsonl", ROWS[:1])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(InputError, match=named):
        list(read_rows(path, "jsonl"))
