"""Before it computes, a run says with what, why, and on how many cores."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from hambatch.engines.manifest import read_manifest
from hambatch.system.cpu import available_cores, int8_kernels
from tests.engines.int8_engine import gate_of, put_gate, with_int8


@pytest.fixture
def engine(tiny_engine: Path, tmp_path: Path) -> Path:
    return with_int8(tiny_engine, tmp_path / "tiny")


def first_line(images: Path, engine: Path, *options: str) -> str:
    out = images.parent / "p.csv"
    command = ["score", str(images), "--out", str(out), "--engine", str(engine), "--overwrite"]
    done = CliRunner().invoke(hambatch, [*command, *options])
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    return done.stderr.splitlines()[0]


def test_it_names_the_graph_and_the_threads(engine: Path, image_folder: Path) -> None:
    said = first_line(image_folder, engine, "--streams", "3", "--threads", "2", "--device", "cpu")
    assert said.startswith(
        "cpu (as asked), openvino-fp32 (int8 gate not measured on this instruction set), "
        "3 streams, 2 decode threads on 2 cores ("
    )
    put_gate(engine, gate_of(read_manifest(engine), int8_kernels()))
    assert first_line(image_folder, engine, "--device", "cpu").startswith(
        "cpu (as asked), openvino-int8 (gate passed: 0.9 % of labels change), "
    )


def test_no_more_cores_are_named_than_there_are(engine: Path, image_folder: Path) -> None:
    cores = available_cores()
    said = first_line(image_folder, engine, "--threads", str(cores + 1))
    assert f"{cores + 1} decode threads on {cores} core" in said
    assert "1 stream, 1 decode thread on 1 core (" in first_line(
        image_folder, engine, "--threads", "1"
    )


def test_it_says_that_a_gate_was_overruled(engine: Path, image_folder: Path) -> None:
    said = first_line(image_folder, engine, "--precision", "int8", "--force")
    assert "int8 gate not measured on this instruction set, --force" in said


def test_a_cache_that_others_can_enter_is_told_once(
    engine: Path, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    folder = tmp_path / "mine" / "hambatch" / "models"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    out = tmp_path / "p.csv"
    command = ["score", str(image_folder), "--out", str(out), "--engine", str(engine)]
    command += ["--precision", "int8", "--force", "--overwrite"]
    done = CliRunner().invoke(hambatch, command)
    assert done.exit_code == 0
    assert done.stderr.count("compiled graphs are not kept") == 1
    assert list(folder.iterdir()) == []
    done = CliRunner().invoke(hambatch, [*command, "--no-model-cache"])
    assert "are not kept" not in done.stderr
