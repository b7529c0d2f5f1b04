"""Which graph a run uses is told, recorded, and held to: by resuming, retrying and verifying."""

import json
from pathlib import Path
from typing import Any

import pytest

from hambatch.checks.options import VerifyOptions
from hambatch.checks.verify.verify import verify
from hambatch.engines.manifest import read_manifest
from hambatch.errors import EngineError, InputError
from hambatch.score.options import ScoreOptions
from hambatch.score.plan import RunPlan
from hambatch.score.record import options_of, read_record
from hambatch.score.run import score
from hambatch.score.sentinels.recording import record_sentinels
from hambatch.sinks.formats import read_rows
from hambatch.sinks.publish import record_path
from hambatch.system.cpu import int8_kernels
from tests.engines.int8_engine import gate_of, put_gate, with_int8


@pytest.fixture(scope="module")
def made(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = with_int8(tiny_engine, tmp_path_factory.mktemp("int8") / "tiny")
    record_sentinels(folder)
    return folder


@pytest.fixture
def engine(made: Path) -> Path:
    """The engine with known pictures in both precisions, and a gate that passed here."""
    put_gate(made, gate_of(read_manifest(made), int8_kernels()))
    return made


def run(images: Path, out: Path, engine: Path, **options: Any) -> tuple[dict[str, Any], RunPlan]:
    plans: list[RunPlan] = []
    again = {k: options.pop(k) for k in ("overwrite", "retry_failed") if k in options}
    chosen = ScoreOptions(engine=str(engine), **options)
    score(images, out, "csv", chosen, tell=plans.append, **again)
    return read_record(record_path(out)), plans[0]


def backends(out: Path) -> set[str]:
    return {row.backend for row in read_rows(out, "csv")}


def test_auto_scores_with_int8_and_says_so(
    engine: Path, image_folder: Path, tmp_path: Path
) -> None:
    record, plan = run(image_folder, tmp_path / "p.csv", engine)
    assert backends(tmp_path / "p.csv") == {"openvino-int8"}
    assert record["precision"] == {
        "wanted": "auto",
        "used": "int8",
        "why": "gate passed: 0.9 % of labels change",
        "gate": "passed",
        "forced": False,
    }
    assert record["engine"]["graph"] == "model.int8.onnx"
    assert record["fingerprint"]["backend"] == {"name": "openvino", "precision": "int8"}
    # What was typed stays what was typed.
    assert options_of(record["options"]) == ScoreOptions(engine=str(engine))
    assert plan.used.precision == "int8"


def test_its_known_pictures_are_held_against_what_int8_gave(
    engine: Path, image_folder: Path, tmp_path: Path
) -> None:
    for precision in ("fp32", "int8"):
        out = tmp_path / f"{precision}.csv"
        record, _ = run(image_folder, out, engine, precision=precision)
        found = record["sentinels"]
        assert (found["reference"], found["tolerance_at_start"]) == ("engine", 1e-4)
        assert found["deviation_at_start"] == 0


def test_int8_that_was_forced_is_in_every_record(
    engine: Path, image_folder: Path, tmp_path: Path
) -> None:
    put_gate(engine, gate_of(read_manifest(engine), int8_kernels(), flips=30))
    with pytest.raises(EngineError, match="or --force"):
        run(image_folder, tmp_path / "p.csv", engine, precision="int8")
    assert not (tmp_path / "p.csv.journal").exists()
    record, _ = run(image_folder, tmp_path / "p.csv", engine, precision="int8", force=True)
    assert (record["precision"]["gate"], record["precision"]["forced"]) == ("failed", True)
    assert backends(tmp_path / "p.csv") == {"openvino-int8"}


def test_a_table_is_verified_in_the_precision_it_was_made_with(
    engine: Path, image_folder: Path, tmp_path: Path
) -> None:
    put_gate(engine, gate_of(read_manifest(engine), int8_kernels(), flips=30))
    run(image_folder, tmp_path / "p.csv", engine, precision="int8", force=True)
    verdict = verify(tmp_path / "p.csv", image_folder, "csv", VerifyOptions(sample=5))
    assert verdict.differences == []
    assert "to the last digit" in verdict.proven


def test_a_run_is_not_gone_on_with_in_another_precision(
    engine: Path, image_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    (image_folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    run(image_folder, out, engine)
    with pytest.raises(InputError, match="backend precision was int8, is fp32"):
        run(image_folder, out, engine, precision="fp32", retry_failed=True)
    before = out.read_bytes()
    run(image_folder, out, engine, precision="int8", retry_failed=True)
    assert out.read_bytes() == before


def test_a_record_of_before_there_was_a_choice_is_still_read(
    engine: Path, image_folder: Path, tmp_path: Path
) -> None:
    run(image_folder, tmp_path / "p.csv", engine, precision="fp32")
    path = record_path(tmp_path / "p.csv")
    whole = json.loads(path.read_text())
    del whole["precision"], whole["options"]["force"]
    path.write_text(json.dumps(whole))
    assert options_of(read_record(path)["options"]).precision == "fp32"
    verdict = verify(tmp_path / "p.csv", image_folder, "csv", VerifyOptions(sample=2))
    assert verdict.differences == []


@pytest.mark.parametrize(
    ("part", "value"), [("options", "int4"), ("options", ""), ("fingerprint", "auto")]
)
def test_a_precision_that_there_is_not_is_refused(
    engine: Path, image_folder: Path, tmp_path: Path, part: str, value: str
) -> None:
    run(image_folder, tmp_path / "p.csv", engine)
    path = record_path(tmp_path / "p.csv")
    whole = json.loads(path.read_text())
    where = whole["options"] if part == "options" else whole["fingerprint"]["backend"]
    where["precision"] = value
    path.write_text(json.dumps(whole))
    with pytest.raises(InputError, match="precision is"):
        read_record(path)
