"""What an engine records of its sentinels is what scoring gives; verifying finds a change."""

import json
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from hambatch.checks.engines import verify_engine
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import read_manifest
from hambatch.engines.precision import cheaper_here
from hambatch.engines.sentinels import MeasuredOn, Sentinels
from hambatch.errors import EngineError, SentinelError
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.rows import predict_files
from hambatch.scoring.sentinels.recording import record_sentinels, score_sentinels
from tests.conftest import claim_bfloat16
from tests.engine_json import rewrite
from tests.engines.int8_engine import with_int8


@pytest.fixture(scope="module")
def engine(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "tiny"
    shutil.copytree(tiny_engine, folder)
    record_sentinels(folder)
    return folder


@pytest.fixture
def copy(engine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(engine, tmp_path / "tiny"))


def test_it_is_what_scoring_says_and_nothing_else_of_the_engine_changes(
    engine: Path, tiny_engine: Path
) -> None:
    before, manifest = read_manifest(tiny_engine), load_engine(engine).manifest
    spec = manifest.sentinels
    assert (spec.measured_on.backend, spec.measured_on.decoder) == ("openvino-fp32", "dali-cpu")
    assert replace(manifest, sentinels=Sentinels(), files=before.files) == before
    assert (engine / "model.onnx").read_bytes() == (tiny_engine / "model.onnx").read_bytes()
    names = [picture.file for picture in spec.pictures]
    rows = predict_files(engine, names, ScoreOptions(engine=str(engine)))
    known = [picture.probabilities for picture in spec.pictures]
    assert np.array([row.probabilities for row in rows]) == pytest.approx(np.array(known), abs=1e-6)


def test_recorded_again_it_is_the_same_byte_for_byte(copy: Path) -> None:
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    record_sentinels(copy)
    assert {path.name: path.read_bytes() for path in copy.iterdir()} == before


def test_verifying_scores_the_pictures_again(engine: Path, tiny_engine: Path) -> None:
    summary = score_sentinels(load_engine(engine))
    assert (summary["checked"], summary["reference"]) == (8, "engine")
    assert summary["deviation_at_start"] == 0
    # Without pictures of its own, drawn ones have to give numbers.
    assert "fp32: no scores are recorded" in verify_engine(tiny_engine)


def test_verifying_finds_a_machine_that_scores_otherwise(copy: Path) -> None:
    manifest = read_manifest(copy)
    first, *others = manifest.sentinels.pictures
    # Of the classes: the tiny engine may give two pictures the same scores.
    turned = first.probabilities[1:] + first.probabilities[:1]
    other = replace(first, probabilities=turned)
    spec = replace(manifest.sentinels, pictures=(other, *others))
    write_manifest(copy, replace(manifest, sentinels=spec))
    with pytest.raises(SentinelError, match=r"sentinel_0\.jpg had wrong scores in batch 1"):
        verify_engine(copy)


def test_a_graph_far_from_keras_widens_what_other_machines_may_differ_by(copy: Path) -> None:
    path = copy / "engine.json"
    whole = json.loads(path.read_text())
    whole["variants"][0]["parity"] = {"fp16_stored": {"max_difference": 0.0015}}
    rewrite(path, whole)
    assert record_sentinels(copy).sentinels.tolerance_elsewhere == 0.003


def test_an_altered_engine_is_not_recorded(copy: Path) -> None:
    (copy / "sentinel_2.jpg").write_bytes(b"no picture")
    before = (copy / "engine.json").read_bytes()
    with pytest.raises(EngineError, match=r"sentinel_2\.jpg is not the file"):
        record_sentinels(copy)
    assert (copy / "engine.json").read_bytes() == before


@pytest.fixture(scope="module")
def both(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = with_int8(tiny_engine, tmp_path_factory.mktemp("both") / "tiny")
    record_sentinels(folder)
    return folder


def test_every_graph_of_an_engine_is_recorded(both: Path, engine: Path) -> None:
    spec = read_manifest(both).sentinels
    assert spec.pictures == read_manifest(engine).sentinels.pictures
    precisions = cheaper_here(read_manifest(both))
    assert tuple(one.precision for one in spec.also) == precisions
    assert {one.measured_on.backend for one in spec.also} == {f"openvino-{p}" for p in precisions}
    for record in spec.also[:1]:
        options = ScoreOptions.on_cpu(engine=str(both), precision=record.precision, force=True)
        rows = predict_files(both, [picture.file for picture in spec.pictures], options)
        for row, known in zip(rows, record.probabilities, strict=True):
            assert row.probabilities == pytest.approx(known, abs=1e-6)
    said = verify_engine(both)
    for precision in ("fp32", *precisions):
        assert f"{precision}: 4 sentinels are within 0e+00" in said


def test_what_another_processor_recorded_stays_where_the_graphs_are_the_same(
    both: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(both, tmp_path / "tiny"))
    spec = read_manifest(copy).sentinels
    (int8,) = (one for one in spec.also if one.precision == "int8")
    bf16 = replace(int8, precision="bf16", measured_on=MeasuredOn("openvino-bf16", "dali-cpu", "x"))
    write_manifest(copy, replace(read_manifest(copy), sentinels=replace(spec, also=(int8, bf16))))
    claim_bfloat16(monkeypatch, set())
    now, kept = record_sentinels(copy, same_fp32=True).sentinels.also
    assert (now.probabilities, kept) == (int8.probabilities, bf16)


def test_an_int8_graph_that_answers_otherwise_is_found(both: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(both, tmp_path / "tiny"))
    spec = read_manifest(copy).sentinels
    # Of the classes: all pictures may be of one class, as INT8 saturates on some machines.
    int8 = next(one for one in spec.also if one.precision == "int8")
    turned = replace(int8, probabilities=tuple(row[::-1] for row in int8.probabilities))
    write_manifest(copy, replace(read_manifest(copy), sentinels=replace(spec, also=(turned,))))
    score_sentinels(load_engine(copy))
    with pytest.raises(SentinelError, match=r"sentinel_\d\.jpg had wrong scores in batch 1"):
        score_sentinels(load_engine(copy), "int8")


def test_int8_may_differ_more_on_another_machine_and_no_more_here(both: Path) -> None:
    spec = read_manifest(both).sentinels
    assert (spec.elsewhere("fp32"), spec.elsewhere("int8")) == (5e-4, 0.05)
    assert score_sentinels(load_engine(both), "int8")["tolerance_at_start"] == spec.tolerance


def test_another_version_of_the_runtime_may_differ_more_too(both: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(both, tmp_path / "tiny"))
    manifest = read_manifest(copy)
    int8 = next(one for one in manifest.sentinels.also if one.precision == "int8")
    assert int8.measured_on.runtime == f"openvino {version('openvino')}, unsigned activations"
    older = replace(int8.measured_on, runtime="openvino 2026.3, unsigned activations")
    also = (replace(int8, measured_on=older),)
    write_manifest(copy, replace(manifest, sentinels=replace(manifest.sentinels, also=also)))
    assert score_sentinels(load_engine(copy), "int8")["tolerance_at_start"] == 0.05


def test_a_machine_that_is_far_off_gives_no_new_record(both: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(both, tmp_path / "tiny"))
    manifest = read_manifest(copy)
    first, *others = manifest.sentinels.pictures
    turned = replace(first, probabilities=first.probabilities[::-1])
    spec = replace(manifest.sentinels, pictures=(turned, *others))
    write_manifest(copy, replace(manifest, sentinels=spec))
    before = (copy / "engine.json").read_bytes()
    with pytest.raises(EngineError, match=r"this machine computes wrongly.\nNext: "):
        record_sentinels(copy, same_fp32=True)
    assert (copy / "engine.json").read_bytes() == before
