"""A run that began on a GPU of nobody's asking ends on the CPU where the GPU is gone."""

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hambatch.errors import BackendError, InputError
from hambatch.score.journal.folder import journal_folder
from hambatch.score.options import ScoreOptions
from hambatch.score.record import read_record
from hambatch.score.run import score
from hambatch.score.runner import Progressed
from hambatch.sinks.publish import record_path
from tests.backends.tensorrt.host_gpus import host_gpus
from tests.checks.verify.tampering import found
from tests.conftest import jpeg_bytes

__all__ = ["host_gpus"]

pytestmark = pytest.mark.usefixtures("host_gpus")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for k in range(24):
        (folder / f"{k:02d}.jpg").write_bytes(jpeg_bytes(k, 64 + k))
    return folder


def options(engine: Path, **chosen: Any) -> ScoreOptions:
    sizes = {"batch_size": 4, "streams": 1, "readers": 1, "prefetch": 1}
    return ScoreOptions(**{"engine": str(engine), **sizes, **chosen})


def stopped(images: Path, out: Path, options: ScoreOptions) -> Path:
    """Begin a run, and end it once there is a row more than before."""

    def progress(answers: Iterable[Progressed], total: int, done: int) -> Iterator[Progressed]:
        rows = journal_folder(out) / "rows"
        before = rows.stat().st_size
        for answer in answers:
            yield answer
            if rows.stat().st_size > before:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(images, out, "csv", options, progress=progress)
    return out


@pytest.fixture
def begun(images: Path, tiny_engine: Path, tmp_path: Path) -> Path:
    return stopped(images, tmp_path / "rows.csv", options(tiny_engine))


def test_the_cpu_does_the_rest_and_everybody_is_told(
    images: Path,
    tiny_engine: Path,
    begun: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HOST_GPUS", "0")
    # Stopped once more: what one start told is not told again by the next.
    stopped(images, begun, options(tiny_engine))
    with caplog.at_level(logging.WARNING):
        score(images, begun, "csv", options(tiny_engine))
    assert "the run began on a GPU (Host-Memory GPU): no NVIDIA driver is installed" in caplog.text
    record = read_record(record_path(begun))
    assert sorted(record["counts"]["backends"]) == ["openvino-fp32", "tensorrt-fp32"]
    assert record["fingerprint"]["backend"]["name"] == "tensorrt"
    assert record["device"]["handed_over"] == [
        {"from": "Host-Memory GPU", "to": "the CPU", "why": "no NVIDIA driver is installed"}
    ]
    assert found(begun, images) == set()
    monkeypatch.setenv("HOST_GPUS", "1")
    assert found(begun, images) == set()


def test_a_gpu_that_is_back_goes_on_with_what_the_cpu_did(
    images: Path, tiny_engine: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_GPUS", "0")
    stopped(images, begun, options(tiny_engine))
    monkeypatch.setenv("HOST_GPUS", "1")
    score(images, begun, "csv", options(tiny_engine))
    record = read_record(record_path(begun))
    assert sorted(record["counts"]["backends"]) == ["openvino-fp32", "tensorrt-fp32"]
    assert len(record["device"]["handed_over"]) == 1


def test_of_fp16_the_cpu_makes_fp32(
    images: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fp16 = options(tiny_engine, precision="fp16")
    out = stopped(images, tmp_path / "rows.csv", fp16)
    monkeypatch.setenv("HOST_GPUS", "0")
    with pytest.raises(InputError, match="precision was fp16, is fp32"):
        score(images, out, "csv", options(tiny_engine))
    score(images, out, "csv", fp16)
    record = json.loads(record_path(out).read_text())
    assert sorted(record["counts"]["backends"]) == ["openvino-fp32", "tensorrt-fp16"]
    assert record["precision"]["wanted"] == "fp16"


def test_without_its_plan_the_cpu_does_the_rest_too(
    images: Path, tiny_engine: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_GPU_BUILDS", "refused")
    score(images, begun, "csv", options(tiny_engine))
    (handed,) = json.loads(record_path(begun).read_text())["device"]["handed_over"]
    assert "Host-Memory GPU is there, but the fp32 plan" in handed["why"]


def test_what_else_has_changed_and_a_gpu_that_is_asked_for_are_refused(
    images: Path, tiny_engine: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as other:
        other.setattr("tests.backends.tensorrt.host_gpus.NAME", "Other GPU")
        wanted = r"gpu was Host-Memory GPU, is Other GPU.*\nNext: run it where its GPU \(Host-"
        with pytest.raises(InputError, match=wanted):
            score(images, begun, "csv", options(tiny_engine))
    monkeypatch.setenv("HOST_GPUS", "0")
    with pytest.raises(InputError, match="backend tta was absent, is 2"):
        score(images, begun, "csv", options(tiny_engine, tta=2))
    with pytest.raises(BackendError, match="no NVIDIA driver"):
        score(images, begun, "csv", options(tiny_engine, device="0"))
    # The CPU that is asked for is another setting.
    with pytest.raises(InputError, match=r"--overwrite to start afresh"):
        score(images, begun, "csv", options(tiny_engine, device="cpu"))
