"""Whatever quotes a gate says which images it was measured on, if the engine was trained on them.

Row 14 of the list of wrong figures: "gate passed: 0.2 % of labels change", of training images.
"""

import csv
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from tests.conftest import jpeg_bytes
from tests.engine_json import rewrite
from tests.engines.int8_engine import put_gate, with_int8

CLASSES = "akiec bcc bkl df mel nv vasc".split()


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(hambatch, [*map(str, arguments)])


@pytest.fixture(scope="module")
def place(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split table of 70 images, and an engine that was trained on its train and val."""
    place = tmp_path_factory.mktemp("gates")
    rows = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    (place / "ham").mkdir()
    for k in range(70):
        rows.append(f"HAM_{k:07d},ISIC_{k:07d},{CLASSES[k % 7]},histo,40.0,male,back")
        (place / "ham" / f"ISIC_{k:07d}.jpg").write_bytes(jpeg_bytes(k))
    (place / "ham" / "HAM10000_metadata.csv").write_text("\n".join(rows) + "\n")
    done = invoke("prepare", place / "ham", "--out", place / "split.csv")
    assert done.exit_code == 0, done.output
    engine = with_int8(tiny_engine, place / "tiny")
    set_data(engine, trained_on=["train", "val"])
    measured = invoke("engines", "verify", "--gate", "--data", place / "split.csv", engine)
    assert measured.exit_code == 0, measured.output
    (place / "said.txt").write_text(measured.output)
    return place


def set_data(engine: Path, **data: object) -> None:
    path = engine / "engine.json"
    rewrite(path, json.loads(path.read_text()) | {"data": data})


def rows_of(table: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(table.read_text().splitlines()))


def gate_in(engine: Path) -> dict[str, object]:
    """Give the gate of INT8: those of other precisions say which they are of."""
    gates = json.loads((engine / "engine.json").read_text())["variants"][1]["gates"]
    return next(gate for gate in gates if "precision" not in gate)


def test_score_says_so_on_its_first_line_and_in_the_record(place: Path) -> None:
    (place / "one").mkdir()
    (place / "one" / "a.jpg").write_bytes(jpeg_bytes(1))
    out = place / "preds.csv"
    done = invoke("score", place / "one", "--engine", place / "tiny", "--out", out)
    assert done.exit_code == 0, done.output
    first = done.stderr.splitlines()[0]
    assert "gate passed: 0.0 % of labels change (training images)" in first
    record = json.loads(out.with_name("preds.csv.run.json").read_text())
    assert "(training images)" in record["precision"]["why"]


def test_the_gate_and_the_check_of_the_engine_say_so(place: Path) -> None:
    said = (place / "said.txt").read_text()
    assert " training images of " in said
    assert "validation images" not in said
    assert "the gate of int8 is passed, on training images" in said
    done = invoke("engines", "verify", place / "tiny")
    assert done.exit_code == 0, done.output
    assert "labels change (training images)" in done.output


def test_a_gate_of_another_split_table_is_not_taken_for_one_of_held_out_images(
    place: Path, tmp_path: Path
) -> None:
    engine = Path(shutil.copytree(place / "tiny", tmp_path / "tiny"))
    set_data(engine, trained_on=["train"], split_sha256="6" * 64)
    done = invoke("engines", "verify", engine)
    assert done.exit_code == 0, done.output
    assert "labels change (images of another split table)" in done.output


def test_images_that_the_engine_did_not_see_need_no_such_words(place: Path, tmp_path: Path) -> None:
    engine = Path(shutil.copytree(place / "tiny", tmp_path / "tiny"))
    set_data(engine, trained_on=["train"])
    assert "0.0 % of labels change)" in invoke("engines", "verify", engine).output


def test_a_gate_part_of_prepare_is_what_the_gate_is_measured_on(
    place: Path, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(place / "ham", tmp_path / "ham"))
    table = tmp_path / "split.csv"
    fractions = ["--gate-fraction", "0.2", "--certify-fraction", "0.1"]
    done = invoke("prepare", root, "--out", table, *fractions)
    assert done.exit_code == 0, done.output
    rows = rows_of(table)
    parts = {row["image_id"]: row["split"] for row in rows}
    assert set(parts.values()) == {"train", "val", "test", "gate", "certify"}
    before = {row["image_id"]: row["split"] for row in rows_of(place / "split.csv")}
    moved = {name for name in parts if parts[name] != before[name]}
    # Both parts are taken from train; val and test stay as they are without them.
    assert {before[name] for name in moved} == {"train"}
    for row in rows:
        # No other image can be opened: exactly these are measured.
        if row["split"] != "gate":
            (root / row["file"]).unlink()
    engine = Path(shutil.copytree(place / "tiny", tmp_path / "tiny"))
    put_gate(engine)  # none is left
    done = invoke("engines", "verify", "--gate", "--precision", "int8", "--data", table, engine)
    assert done.exit_code == 0, done.output
    gate = gate_in(engine)
    assert (gate["images"], gate["part"]) == (14, "gate")
    assert "14 gate images of 14 lesions" in done.output
    assert "training images" not in invoke("engines", "verify", engine).output
    # Only what was trained on or chosen by is listed: the images of the gate stay unseen ones.
    done = invoke("engines", "complete", "--data", table, engine)
    assert done.exit_code == 0, done.output
    listed = json.loads((engine / "training_images.json").read_text())["images"]
    used = [row["split"] for row in rows if row["split"] in ("train", "val")]
    assert sorted(split for _, _, _, split, *_ in listed) == sorted(used)
