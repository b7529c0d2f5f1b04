"""A table is read as it was written, whatever its format; what is none is refused by name."""

from pathlib import Path

import numpy as np
import pandas
import pytest

import hambatch
from hambatch.engines.classes import COLUMNS, NUMBERS
from hambatch.errors import InputError
from hambatch.sinks.formats import FORMATS, SUFFIXES
from hambatch.sinks.publish import open_outputs
from hambatch.types import Row

P = (0.1, 0.2, 0.3, 0.05, 0.15, 0.1, 0.1)

IDS = ("007", None)

ROWS = [
    Row(
        "a\n.jpg",
        "ok",
        "bkl",
        P,
        0.45,
        "dali-cpu",
        "openvino-fp32",
        "ab" * 32,
        carried=("007", None),
    ),
    Row("b.jpg", "failed", sha256="cd" * 32, reason="empty file", carried=(None, "x")),
]

READABLE = [kind for kind in FORMATS if kind not in ("isic", "dicom-sr")]


def write(path: Path, kind: str, rows: list[Row] = ROWS) -> Path:
    with open_outputs(path, kind, None, carried=("patient_id", "site")) as outputs:
        for row in rows:
            outputs.write(row)
        outputs.describe = lambda _: {"output": {"carried": ["patient_id", "site"]}}
    return path


@pytest.mark.parametrize("kind", READABLE)
def test_every_format_gives_the_same_frame(kind: str, tmp_path: Path) -> None:
    suffix = next(suffix for suffix, name in SUFFIXES.items() if name == kind)
    table = hambatch.read_table(write(tmp_path / f"preds{suffix}", kind))
    assert [*table.columns] == [*COLUMNS, "patient_id", "site"]
    for name in table:
        assert str(table[name].dtype) == ("float64" if name in NUMBERS else "str")
    assert table.image.tolist() == ["a%0A.jpg", "b.jpg"]
    assert table.loc[0, "p_akiec":"p_vasc"].tolist() == [*P]  # type: ignore[misc]
    assert table.patient_id[0] == "007"
    assert np.isnan(table.p_mel[1])
    assert table.isna().sum(axis=1).tolist() == [6, 17]


def test_a_table_without_rows_has_its_columns_and_types(tmp_path: Path) -> None:
    table = hambatch.read_table(write(tmp_path / "preds.csv", "csv", []))
    assert len(table) == 0
    assert str(table.p_mel.dtype) == "float64"


def test_a_table_of_others_or_a_changed_one_is_refused_by_name(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    pandas.DataFrame({"image": ["a"]}).to_csv(other, index=False)
    with pytest.raises(InputError, match=r"other\.csv: found columns image; wanted also"):
        hambatch.read_table(other)
    changed = write(tmp_path / "preds.csv", "csv")
    changed.write_text(changed.read_text().replace("bkl", "mel", 1))
    with pytest.raises(InputError):
        hambatch.read_table(changed)
    with pytest.raises(InputError, match=r"absent\.csv: found no readable table"):
        hambatch.read_table(tmp_path / "absent.csv")
