"""The three measurements on a GPU: what is refused, and all of it where there is a real one.

On GPUs of host memory they are measured whole in `test_gpu_script.py`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hambatch.backends.tensorrt.requests import TensorRtBackend
from hambatch.bench.compare import compare
from hambatch.bench.decoding import Decoding
from hambatch.bench.engine import combinations
from hambatch.bench.images import BenchImages
from hambatch.bench.inference import Offline, Setting, in_memory, open_backend, refuse_other
from hambatch.bench.options import BenchCompareOptions, BenchEngineOptions, BenchScoreOptions
from hambatch.bench.report import as_text
from hambatch.bench.score import _cases, resolve
from hambatch.bench.whole_run import Whole
from hambatch.cli import hambatch
from hambatch.engines.loading import load_engine
from hambatch.errors import BackendError, EngineError, InputError
from hambatch.pipelines.options import DecoderOptions
from hambatch.sources.entry import Entry
from hambatch.sources.source import folder_of_images
from tests.backends.contract import pictures, scores
from tests.backends.tensorrt.host_gpus import host_gpus
from tests.backends.tensorrt.on_host import OnHost
from tests.backends.tensorrt.real import real_backend
from tests.bench.gpu_results import check_engine, check_pipeline, check_score

__all__ = ["host_gpus"]

Bench = Callable[..., dict[str, Any]]


@pytest.fixture
def bench(tmp_path: Path, tiny_engine: Path) -> Bench:
    """Run a measurement as the command line does; gives its result, and what was printed."""

    def run(what: str, *options: object) -> dict[str, Any]:
        out = tmp_path / "result.json"
        small = ["--engine", tiny_engine, "--repeats", 1, "--count", 12, "--out", out]
        words = ["bench", what, *small, *options]
        done = CliRunner().invoke(
            hambatch, [*map(str, words)], catch_exceptions=False, standalone_mode=False
        )
        result: dict[str, Any] = json.loads(out.read_text())
        return result | {"printed": done.stdout}

    return run


@pytest.mark.gpu
def test_a_real_gpu_is_measured(bench: Bench, tiny_engine: Path) -> None:
    real_backend(tiny_engine).close()
    options = "--backend tensorrt --device 0 --precision fp16 --batch-size 8 --streams 1".split()
    found = bench("engine", *options, "--samples", 7)
    check_engine(found)
    assert as_text(found) in found["printed"]
    loads = ["--device", "gpu", "--hw-decoder-load", "1,0.5", "--batch-size", 8]
    check_pipeline(bench("pipeline", *loads), [1, 0.5])
    run = ["--device", "gpu", "--hw-decoder-load", "0.5", "--batch-size", 4]
    check_score(bench("score", *run), "fp32", 0.5)


@pytest.mark.usefixtures("host_gpus")
def test_a_run_on_a_gpu_is_in_fp32_and_decodes_with_the_load_that_was_asked_for(
    tiny_engine: Path,
) -> None:
    options = BenchScoreOptions(str(tiny_engine), "gpu", batch_size=4, hw_decoder_load=0.5)
    resolved = resolve(tiny_engine, options)
    assert (resolved.backend, resolved.precision) == ("tensorrt", "fp32")
    images = BenchImages(folder_of_images(Path("images")), (Entry("a.jpg"),), Path("scratch"), {})
    setting = Setting("tensorrt", "fp32", 64, 2, 1, 0)
    inference = Offline(tiny_engine, setting, Path("pixels.npy"), 5).case()
    cases = {case.stage: case for case in _cases(tiny_engine, images, resolved, inference, 5)}
    for stage in ("decode", "score"):
        settings = cases[stage].settings
        assert (settings["hw_decoder_load"], settings["batch_size"]) == (0.5, 4)
        assert settings["decoder"] == "dali-gpu"
    decode, whole = cases["decode"].task, cases["score"].task
    assert isinstance(decode, Decoding)
    assert isinstance(whole, Whole)
    assert decode.decoder == whole.options.decoder == DecoderOptions(hw_decoder_load=0.5)


def check_images_on_the_device(backend: TensorRtBackend, engine: Path) -> None:
    images = pictures(5)
    cut = in_memory(backend, images, 4)
    # From the fourth on: the last two, and the first two again.
    batch = cut(13, 4)
    assert batch.indices.tolist() == [13, 14, 15, 16]
    (scored,) = backend.predict([batch])
    wanted = scores(backend, images[[3, 4, 0, 1]])
    np.testing.assert_allclose(scored.logits, wanted, rtol=1e-4, atol=1e-4)
    backend.close()


def test_images_that_were_uploaded_once_go_round(tiny_engine: Path) -> None:
    host = OnHost(load_engine(tiny_engine))
    check_images_on_the_device(host.backend, tiny_engine)
    # Released with the backend: a leak would have been an error.
    assert host.device.closed


@pytest.mark.gpu
def test_images_that_were_uploaded_once_go_round_on_a_real_gpu(tiny_engine: Path) -> None:
    backend = real_backend(tiny_engine)
    assert isinstance(backend, TensorRtBackend)
    check_images_on_the_device(backend, tiny_engine)


def test_whole_requests_are_read_where_they_lie(tiny_engine: Path) -> None:
    host = OnHost(load_engine(tiny_engine))
    cut = in_memory(host.backend, pictures(5), 4)
    list(host.backend.predict([cut(0, 4), cut(4, 4)]))
    first, second = host.engine.inputs
    assert second - first == 4 * 224 * 224 * 3
    host.backend.close()


@pytest.mark.usefixtures("host_gpus")
def test_streams_are_those_that_the_backend_makes(tiny_engine: Path) -> None:
    manifest = load_engine(tiny_engine).manifest
    options = BenchEngineOptions(backend=("tensorrt",), precision=("fp16",), streams=(9, 4))
    assert combinations(options, manifest) == [Setting("tensorrt", "fp16", 64, 4, 1, 0)]


@pytest.mark.usefixtures("host_gpus")
@pytest.mark.parametrize(
    ("what", "options", "kind", "says"),
    [
        ("score", ["--device", "0,1"], InputError, r"--device is 0,1, wanted one"),
        ("pipeline", ["--device", "7"], BackendError, r"no GPU 7 here"),
        ("engine", ["--device", "0"], InputError, r"(?s)openvino .*Next: --backend tensorrt"),
        (
            "engine",
            ["--precision", "fp16"],
            EngineError,
            r"(?s)runs fp32, bf16, int8 and int8-bf16",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(
    bench: Bench, what: str, options: list[str], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=says):
        bench(what, *options)


@pytest.mark.usefixtures("host_gpus")
def test_threads_a_stream_are_not_a_gpus(tiny_engine: Path) -> None:
    with pytest.raises(InputError, match="tensorrt backend has its own threads_a_stream"):
        open_backend(tiny_engine, Setting("tensorrt", "fp32", 64, 1, 2, 0))


def test_requests_that_were_halved_are_not_measured_under_the_name_of_whole_ones() -> None:
    with pytest.raises(BackendError, match=r"(?s)tensorrt-fp32-b32 .*memory is full.*smaller"):
        refuse_other("tensorrt-fp32-b32", "tensorrt-fp32", "the GPU's memory is full")
    refuse_other("tensorrt-fp32", "tensorrt-fp32", "")


@pytest.mark.usefixtures("host_gpus")
def test_a_plan_that_is_missing_is_built_for_its_request_size(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_GPU_BUILDS", "refused")
    # The builder is the real one, and there is no TensorRT.
    with pytest.raises(BackendError, match=r"(?s)could not be built.*--max-batch 16"):
        bench("engine", "--backend", "tensorrt", "--batch-size", 16)


@pytest.mark.parametrize("what", ["engine", "pipeline", "score"])
def test_without_a_gpu_one_message_says_what_to_do(
    bench: Bench, what: str, monkeypatch: pytest.MonkeyPatch, host_gpus: None
) -> None:
    monkeypatch.setenv("HOST_GPUS", "0")
    backend = ["--backend", "tensorrt"] if what == "engine" else []
    with pytest.raises(BackendError, match=r"(?s)no NVIDIA driver.*\nNext: hambatch doctor"):
        bench(what, "--device", "gpu", *backend)


def test_a_result_of_a_gpu_is_compared_with_one_of_before(tmp_path: Path) -> None:
    """Results of before name no GPU: a remark says so, and the series are compared."""
    from tests.bench.results import rates, result, throughput

    before, now = (result(throughput(rates(100, 0.01, 9, seed))) for seed in (1, 2))
    now["machine"] |= {"gpu": "Some GPU", "driver": "580", "plan_sha256": {"fp32, batch 64": "ab"}}
    now["throughput"][0]["settings"]["gpu"] = 0
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, content in zip(paths, (before, now), strict=True):
        path.write_text(json.dumps(content))
    found = compare(*paths, None, BenchCompareOptions())
    assert found.word == "noise"
    assert "machine.gpu differs: absent in A, Some GPU in B" in found.remarks
    assert any("machine.plan_sha256 differs" in remark for remark in found.remarks)
