"""`benchmarks/gpu.py`: one command, one JSON, one page, on GPUs of host memory."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.backends.tensorrt.host_gpus import host_gpus
from tests.backends.tensorrt.real import real_device
from tests.bench.gpu_results import check_engine, check_pipeline, check_score
from tests.conftest import REPOSITORY
from tests.waiting import HANGS_S, wait_for

__all__ = ["host_gpus"]

PARTS = ["end to end", "parity", "decoding", "decoding", "request size"]


def run(out: Path, engine: Path, *options: object) -> subprocess.CompletedProcess[str]:
    small = ["--count", 12, "--repeats", 1, "--pictures", 3, "--precision", "fp16"]
    sweeps = ["--loads", 0.5, "--groups", 4, "--sizes", 8]
    words = ["--out", out, "--engine", engine, *small, *sweeps, *options]
    command = [sys.executable, REPOSITORY / "benchmarks" / "gpu.py", *words]
    return subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_S,
        cwd=out.parent,
    )


def check_script(tmp_path: Path, engine: Path) -> None:
    out = tmp_path / "found.json"
    done = run(out, engine)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(out.read_text())
    steps = result["steps"]
    assert [step["part"] for step in steps] == PARTS
    assert [step["state"] for step in steps] == ["done"] * len(PARTS)
    share = steps[0]["result"]["ceiling"]["share_of_ceiling"]
    assert result["goal"]["shares"] == {"fp16": share}
    assert result["goal"]["met"] == (share >= 0.9)
    check_score(steps[0]["result"], "fp16")
    parity = steps[1]["result"]
    assert (parity["holds"], parity["source"]["compared"]) == (True, 3)
    check_pipeline(steps[2]["result"], [0.5])
    assert [entry["settings"]["hw_decoder_load"] for entry in decoded(steps[2])] == [0.5]
    assert [entry["settings"]["batch_size"] for entry in decoded(steps[3])] == [4]
    check_engine(steps[4]["result"])
    # As the originals of HAM10000.
    assert 200_000 < result["images"]["image_bytes_median"] < 320_000
    assert result["images"]["megapixels_median"] == 0.27
    page = out.with_suffix(".md").read_text()
    assert result["verdict"] in page
    assert "Not measured" not in page
    for step in steps:
        assert step["command"] in page
        assert str(tmp_path) not in step["command"].replace(str(engine), "")


def decoded(step: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in step["result"]["throughput"] if entry["stage"] == "decode"]


@pytest.mark.slow
@pytest.mark.usefixtures("host_gpus")
def test_every_part_is_measured_on_a_gpu_of_host_memory(tmp_path: Path, tiny_engine: Path) -> None:
    check_script(tmp_path, tiny_engine)


@pytest.mark.gpu
def test_every_part_is_measured_on_a_real_gpu(tmp_path: Path, tiny_engine: Path) -> None:
    real_device().close()
    check_script(tmp_path, tiny_engine)


@pytest.mark.usefixtures("host_gpus")
def test_what_there_is_no_time_for_is_left_out_and_named(tmp_path: Path, tiny_engine: Path) -> None:
    out = tmp_path / "found.json"
    done = run(out, tiny_engine, "--seconds", 1)
    # Nothing end to end: no answer to the question.
    assert done.returncode == 1
    result = json.loads(out.read_text())
    assert [step["state"] for step in result["steps"]] == ["left out"] * len(PARTS)
    assert result["left_out"] == [step["command"] for step in result["steps"]]
    assert result["goal"]["met"] is None
    assert "not done: end to end, fp16" in result["verdict"]
    assert out.with_suffix(".md").read_text().count("Not measured.") == 4


@pytest.mark.parametrize("made_of_host_memory", [True, False])
def test_without_a_gpu_one_message_says_what_to_do(
    tmp_path: Path,
    tiny_engine: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    made_of_host_memory: bool,
) -> None:
    if made_of_host_memory:
        request.getfixturevalue("host_gpus")
        monkeypatch.setenv("HOST_GPUS", "0")
    else:
        # No GPU for CUDA, whatever this machine has.
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    done = run(tmp_path / "found.json", tiny_engine)
    assert done.returncode == 1
    assert done.stderr.count("Next: ") == 1
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("host_gpus")
def test_a_command_that_is_late_is_stopped_with_all_that_it_started(
    tmp_path: Path, tiny_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import gpu_steps
    from gpu_steps import LATE, Step, run_one

    # The first request of a measuring process never ends; the time of the command begins then.
    monkeypatch.setenv("HOST_GPU_FAILS", "0:1:hang")
    hanging = Path(os.environ["HOST_GPU_FIRED"], "fired")

    class Begun(subprocess.Popen[str]):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            wait_for(hanging.exists, "a request of a measuring process", self)
            assert len(started_with(tmp_path)) > 1

    monkeypatch.setattr(gpu_steps.subprocess, "Popen", Begun)
    # An end in order takes longer on a busy machine; nothing else limits this test.
    monkeypatch.setattr(gpu_steps, "GRACE", HANGS_S)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    how = ("--backend", "tensorrt", "--engine", str(tiny_engine), "--count", "2")
    step = Step("engine", "never done", ("bench", "engine", *how), 1.0)
    found = run_one(step, tmp_path / "images", tmp_path / "out.json", step.at_most)
    assert (found["state"], found["result"]) == (LATE, None)
    assert started_with(tmp_path) == []
    assert not list(tmp_path.iterdir())


def started_with(folder: Path) -> list[str]:
    """Name the processes that were started with that folder in their environment."""
    alive = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(folder).encode() in (place / "environ").read_bytes():
                alive.append(place.name)
    return alive
