"""Before it computes, a run says with what, why, and on how many cores."""

from pathlib import Path

import pytest

from hambatch.cli.summary import show_plan
from hambatch.engines.manifest import read_manifest
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.system.cpu import available_cores, int8_kernels, kernels_of
from tests.engines.int8_engine import gate_of, put_gate, with_int8


@pytest.fixture
def engine(tiny_engine: Path, tmp_path: Path) -> Path:
    return with_int8(tiny_engine, tmp_path / "tiny")


@pytest.fixture
def said(engine: Path, capsys: pytest.CaptureFixture[str]):
    """What is said of options; on standard error only."""

    def say(**chosen: object) -> str:
        show_plan(plan_run(engine, ScoreOptions(engine=str(engine), **chosen)))  # type: ignore[arg-type]
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    return say


@pytest.mark.usefixtures("without_bfloat16")
def test_it_names_the_graph_and_the_threads(engine: Path, said) -> None:
    assert said(streams=3, threads=2, device="cpu").startswith(
        "cpu (as asked), openvino-fp32 (int8 gate not measured on this instruction set), "
        f"3 streams, 2 decode threads on {min(2, available_cores())} core"
    )
    put_gate(engine, gate_of(read_manifest(engine), int8_kernels()))
    assert said(device="cpu").startswith(
        "cpu (as asked), openvino-int8 (gate passed: 0.9 % of labels change), "
    )


@pytest.mark.usefixtures("with_bfloat16")
def test_it_names_what_multiplies_bfloat16_where_that_is_used(engine: Path, said) -> None:
    fp32 = said(device="cpu", precision="fp32")
    put_gate(engine, gate_of(read_manifest(engine), kernels_of("int8-bf16"), precision="int8-bf16"))
    line = said(device="cpu")
    assert line.startswith("cpu (as asked), openvino-int8-bf16 (gate passed: 0.9 % of labels ")
    last = fp32.rpartition("(")[2].partition(")")[0]
    assert f"({last} avx512_bf16)" in line
    assert "bf16" not in fp32


def test_no_more_cores_are_named_than_there_are(said) -> None:
    cores = available_cores()
    assert f"{cores + 1} decode threads on {cores} core" in said(threads=cores + 1)
    assert "1 stream, 1 decode thread on 1 core (" in said(threads=1)


def test_it_says_that_a_gate_was_overruled(said) -> None:
    overruled = said(precision="int8", force=True)
    assert "int8 gate not measured on this instruction set, --force" in overruled


def test_a_cache_that_others_can_enter_is_named(
    said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    folder = tmp_path / "mine" / "hambatch" / "models"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    chosen = {"precision": "int8", "force": True}
    assert said(**chosen).count("compiled graphs are not kept") == 1
    assert list(folder.iterdir()) == []
    assert "are not kept" not in said(**chosen, model_cache=False)
