"""The engine is loaded as a run would load it; what is wrong with it is told with the remedy."""

from pathlib import Path

import pytest

from hambatch.checks.doctor.findings import BROKEN, USABLE, examine_engine
from hambatch.engines.loading import find_engine, load_engine
from hambatch.engines.manifest import read_manifest
from hambatch.engines.precision import choose_precision
from hambatch.score.options import ScoreOptions
from hambatch.system.cpu import int8_kernels
from tests.engines.int8_engine import gate_of, put_gate, with_int8


def test_the_default_engine_runs_as_score_would_choose() -> None:
    found = examine_engine()
    manifest = load_engine(find_engine(ScoreOptions.engine)).manifest
    choice = choose_precision(manifest, "openvino", "auto")
    assert (found.name, found.state, found.version) == (manifest.name, USABLE, manifest.version)
    assert found.about == f"loads; runs as openvino-{choice.used} here ({choice.why})"


def test_int8_is_told_where_its_gate_passed(tiny_engine: Path, tmp_path: Path) -> None:
    folder = with_int8(tiny_engine, tmp_path / "tiny")
    put_gate(folder, gate_of(read_manifest(folder), int8_kernels()))
    about = examine_engine(str(folder)).about
    assert about == "loads; runs as openvino-int8 here (gate passed: 0.9 % of labels change)"


@pytest.mark.parametrize("harm", ["altered", "removed"])
def test_a_damaged_engine_is_broken(tiny_engine: Path, tmp_path: Path, harm: str) -> None:
    folder = with_int8(tiny_engine, tmp_path / "tiny")
    if harm == "altered":
        (folder / "model.onnx").write_bytes(b"another graph")
    else:
        (folder / "model.onnx").unlink()
    found = examine_engine(str(folder))
    assert found.state == BROKEN
    assert str(folder / "model.onnx") in found.why
    assert found.next.startswith("install hambatch again")
