"""A run that began on a GPU chosen by ``auto`` ends on the CPU where the GPU is gone or fails."""

import json
import logging
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hambatch.errors import BackendError, InputError
from hambatch.scoring.journal.folder import journal_folder
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.record import read_record
from hambatch.scoring.run import score as run_score
from hambatch.scoring.runner import Progressed
from hambatch.sinks.publish import record_path
from tests.backends.tensorrt.host_gpus import gpus_of_host_memory, host_gpus
from tests.checks.verify.tampering import found
from tests.conftest import jpeg_bytes

__all__ = ["host_gpus"]

pytestmark = pytest.mark.usefixtures("host_gpus")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "images"
    folder.mkdir()
    for k in range(24):
        (folder / f"{k:02d}.jpg").write_bytes(jpeg_bytes(k, 64 + k))
    return folder


def options(engine: Path, **chosen: Any) -> ScoreOptions:
    sizes = {"batch_size": 4, "streams": 1, "readers": 1, "prefetch": 1}
    return ScoreOptions(**{"engine": str(engine), **sizes, **chosen})


def stopped(images: Path, out: Path, options: ScoreOptions, backend: str = "") -> Path:
    """Begin or resume a run; stop it when there is a row more than before, of that backend."""

    def progress(answers: Iterable[Progressed], total: int, done: int) -> Iterator[Progressed]:
        rows = journal_folder(out) / "rows"
        before = rows.stat().st_size
        for answer in answers:
            yield answer
            new = rows.read_bytes()[before:]
            if new and backend.encode() in new:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_score([images], out, "csv", options, progress=progress)
    return out


def copied(stopped: Path, out: Path) -> Path:
    shutil.copytree(journal_folder(stopped), journal_folder(out))
    return out


@pytest.fixture(scope="module")
def on_gpu(few: Path, tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped on the GPU, for tests to copy."""
    out = tmp_path_factory.mktemp("on_gpu") / "rows.csv"
    with pytest.MonkeyPatch.context() as patch, gpus_of_host_memory(tmp_path_factory, patch):
        return stopped(few, out, options(tiny_engine))


@pytest.fixture(scope="module")
def then_on_cpu(
    few: Path, tiny_engine: Path, on_gpu: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same, gone on without a GPU, and stopped once more."""
    out = copied(on_gpu, tmp_path_factory.mktemp("then_on_cpu") / "rows.csv")
    with pytest.MonkeyPatch.context() as patch, gpus_of_host_memory(tmp_path_factory, patch):
        patch.setenv("HOST_GPUS", "0")
        return stopped(few, out, options(tiny_engine))


@pytest.fixture
def begun(on_gpu: Path, tmp_path: Path) -> Path:
    return copied(on_gpu, tmp_path / "rows.csv")


def test_the_cpu_does_the_rest_and_says_so_once(
    few: Path,
    tiny_engine: Path,
    then_on_cpu: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HOST_GPUS", "0")
    # Stopped once more before: what one start noted the next does not note again.
    out = copied(then_on_cpu, tmp_path / "rows.csv")
    with caplog.at_level(logging.WARNING):
        run_score([few], out, "csv", options(tiny_engine))
    assert "the run began on a GPU (Host-Memory GPU): no NVIDIA driver is installed" in caplog.text
    record = read_record(record_path(out))
    assert sorted(record["counts"]["backends"]) == ["openvino-fp32", "tensorrt-fp32"]
    assert record["fingerprint"]["backend"]["name"] == "tensorrt"
    assert record["device"]["handed_over"] == [
        {"from": "Host-Memory GPU", "to": "the CPU", "why": "no NVIDIA driver is installed"}
    ]
    assert found(out, few) == set()


def test_a_gpu_that_is_back_goes_on_with_what_the_cpu_did(
    few: Path,
    tiny_engine: Path,
    then_on_cpu: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOST_GPUS", "1")
    out = copied(then_on_cpu, tmp_path / "rows.csv")
    run_score([few], out, "csv", options(tiny_engine))
    record = read_record(record_path(out))
    assert sorted(record["counts"]["backends"]) == ["openvino-fp32", "tensorrt-fp32"]
    assert len(record["device"]["handed_over"]) == 1


def test_of_fp16_the_cpu_makes_fp32(
    few: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fp16 = options(tiny_engine, precision="fp16")
    out = stopped(few, tmp_path / "rows.csv", fp16)
    monkeypatch.setenv("HOST_GPUS", "0")
    with pytest.raises(InputError, match="precision was fp16, is fp32"):
        run_score([few], out, "csv", options(tiny_engine))
    run_score([few], out, "csv", fp16)
    record = json.loads(record_path(out).read_text())
    assert sorted(record["counts"]["backends"]) == ["openvino-fp32", "tensorrt-fp16"]
    assert record["precision"]["wanted"] == "fp16"


def test_without_its_tensorrt_plan_the_cpu_does_the_rest_too(
    few: Path, tiny_engine: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_GPU_BUILDS", "refused")
    run_score([few], begun, "csv", options(tiny_engine))
    (handed,) = json.loads(record_path(begun).read_text())["device"]["handed_over"]
    assert "Host-Memory GPU is there, but the fp32 plan" in handed["why"]


def test_what_else_has_changed_and_a_gpu_that_is_wanted_are_refused(
    few: Path, tiny_engine: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as other:
        other.setattr("tests.backends.tensorrt.host_gpu_doubles.NAME", "Other GPU")
        wanted = r"gpu was Host-Memory GPU, is Other GPU.*\nNext: run it where its GPU \(Host-"
        with pytest.raises(InputError, match=wanted):
            run_score([few], begun, "csv", options(tiny_engine))
    monkeypatch.setenv("HOST_GPUS", "0")
    with pytest.raises(InputError, match="backend tta was absent, is 2"):
        run_score([few], begun, "csv", options(tiny_engine, tta=2))
    with pytest.raises(BackendError, match="no NVIDIA driver"):
        run_score([few], begun, "csv", options(tiny_engine, device="0"))
    # The CPU, where it is wanted, is another setting.
    with pytest.raises(InputError, match=r"--overwrite to start afresh"):
        run_score([few], begun, "csv", options(tiny_engine, device="cpu"))


def test_a_hand_over_is_recorded_by_later_starts_and_by_a_retry(
    few: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, out = Path(shutil.copytree(few, tmp_path / "images")), tmp_path / "rows.csv"
    monkeypatch.setenv("HOST_GPU_FAILS", "0:4")
    stopped(images, out, options(tiny_engine), "openvino-fp32")
    monkeypatch.delenv("HOST_GPU_FAILS")
    journal = json.loads((journal_folder(out) / "run.json").read_text())
    (kept,) = journal["devices"]["handed_over"]
    assert (kept["from"], kept["to"]) == ("GPU 0", "the CPU")
    assert "Xid 79" in kept["why"]
    (images / "23.jpg").write_bytes(b"no picture")
    for again in (False, True):
        run_score([images], out, "csv", options(tiny_engine), retry_failed=again)
        record = json.loads(record_path(out).read_text())
        assert sorted(record["counts"]["backends"]) == ["openvino-fp32", "tensorrt-fp32"]
        assert "openvino" in record["fingerprint"]["versions"]
        assert record["device"]["handed_over"] == [kept]
