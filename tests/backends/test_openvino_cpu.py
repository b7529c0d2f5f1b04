"""The OpenVINO backend keeps the contract, on any number of threads."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hambatch.backends import Backend, load_backend
from hambatch.backends.openvino_cpu import OpenVinoBackend, load
from hambatch.engines.loading import find_engine, load_engine, write_manifest
from hambatch.engines.manifest import Manifest, Variant
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.errors import BackendError, EngineError
from hambatch.scoring.options import ScoreOptions
from hambatch.system.cpu import multiplies_bfloat16
from hambatch.types import Batch
from tests.backends.contract import BackendContract, batch_of, pictures, scores
from tests.conftest import needs_bfloat16, write_tiny_graph

IN_BFLOAT16 = [pytest.param(p, marks=needs_bfloat16) for p in ("bf16", "int8-bf16")]


@pytest.fixture(scope="module", params=["fp32", "int8", *IN_BFLOAT16])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    loaded = load_backend("openvino", load_engine(find_engine(DEFAULT_ENGINE)), request.param, 2)
    yield loaded
    loaded.close()


class TestOpenVino(BackendContract):
    """The contract, on the engine that is shipped."""


@pytest.mark.parametrize(
    ("precision", "starts"),
    [
        ("fp32", 1),
        ("int8", 6),
        pytest.param("bf16", 2, marks=needs_bfloat16),
        pytest.param("int8-bf16", 2, marks=needs_bfloat16),
    ],
)
def test_the_number_of_streams_changes_no_bit_in_any_start(precision: str, starts: int) -> None:
    # OpenVINO's own streams of one INT8 graph are wrong in some starts: benchmarks/int8_streams.py
    engine = load_engine(find_engine(DEFAULT_ENGINE))
    images = pictures(4)
    one = scores(load_backend("openvino", engine, precision, 1), images)
    for _ in range(starts):
        backend = load_backend("openvino", engine, precision, 3)
        np.testing.assert_array_equal(scores(backend, images), one)
        backend.close()


def test_a_graph_with_other_classes_is_refused(tmp_path: Path) -> None:
    write_tiny_graph(tmp_path / "model.onnx", classes=6)
    variant = Variant("fp32", "model.onnx")
    write_manifest(tmp_path, Manifest("six", "1", files={}, variants=(variant,)))
    with pytest.raises(EngineError, match=r"does not match.*float32 \[\?,6\].*float32 \[\?,7\]"):
        load_backend("openvino", load_engine(tmp_path), "fp32", 1)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    variant = Variant("fp32", "model.onnx")
    write_manifest(tmp_path, Manifest("junk", "1", files={}, variants=(variant,)))
    with pytest.raises(EngineError, match="no ONNX model, wanted ONNX"):
        load_backend("openvino", load_engine(tmp_path), "fp32", 1)


def test_a_precision_that_the_engine_lacks_is_named(tiny_engine: Path) -> None:
    with pytest.raises(EngineError, match="no int8 graph; it has: fp32"):
        load_backend("openvino", load_engine(tiny_engine), "int8", 1)


@pytest.mark.parametrize("sizes", [[1, 0, 0, 0, 0, 0, 0], [1] * 9, [3, 2, 7, 1, 4, 5, 2]])
def test_a_batch_that_shares_a_request_with_the_next_one_does_not_wait_for_it(
    tiny_engine: Path, sizes: list[int]
) -> None:
    """The sender sends that many batches, and then waits for the first result."""
    backend, images, pulled = load(load_engine(tiny_engine), "fp32", 2), pictures(30), 0

    def batches() -> Iterator[Batch]:
        nonlocal pulled
        for number, size in enumerate(sizes):
            pulled += 1
            first = sum(sizes[:number])
            yield batch_of(images[first : first + size], first)

    scored = backend.predict(batches())
    first = next(scored)
    assert pulled <= backend.holds + 1
    found = np.concatenate([first.logits, *(one.logits for one in scored)])
    np.testing.assert_array_equal(found, scores(backend, images[: sum(sizes)]))
    backend.close()


BF16 = ["AVX512_CORE_BF16"]
"""The best kernels without AMX: with those before them BF16 would be emulated."""

CHECK = """
import sys
import numpy as np
from hambatch.backends.openvino_cpu import REQUEST_SIZE, load
from hambatch.engines.loading import find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from tests.backends.contract import pictures, scores

images = np.concatenate([pictures(3), np.zeros((1, 224, 224, 3), np.uint8)])
assert REQUEST_SIZE == len(images)
engine = load_engine(find_engine(DEFAULT_ENGINE))
for precision in sys.argv[1:]:
    backend = load(engine, precision, 1)
    together = scores(backend, images)
    assert np.array_equal(scores(backend, images[:1]), together[:1]), (precision, "alone")
    # Each image in the next place: every two neighbouring places give one image the same bits.
    found = np.roll(scores(backend, np.roll(images, 1, axis=0)), -1, axis=0)
    assert np.array_equal(found, together), (precision, np.abs(found - together).max())
    backend.close()
    print(precision, "has the same bits in every place")
"""


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["SSE41", "AVX2", "AVX2_VNNI", "AVX512_CORE", *BF16, "DEFAULT"])
def test_an_image_has_the_same_scores_in_every_place_of_a_request(kernels: str) -> None:
    """Which images share a request depends on failures, resumes and batch sizes.

    OpenVINO uses no later kernels than those named; a processor may lack even them.
    """
    limits = {} if kernels == "DEFAULT" else {"ONEDNN_MAX_CPU_ISA": kernels}
    # Without AVX2 no gate passes: INT8 is never chosen there.
    precisions = ["fp32"] if kernels == "SSE41" else ["fp32", "int8"]
    if kernels in (*BF16, "DEFAULT") and multiplies_bfloat16():
        precisions += ["bf16", "int8-bf16"]
    done = subprocess.run(
        [sys.executable, "-c", CHECK, *precisions],
        env={**os.environ, **limits},
        capture_output=True,
        text=True,
    )
    wanted = [f"{precision} has the same bits in every place" for precision in precisions]
    assert done.stdout.splitlines() == wanted, done.stderr


@pytest.mark.parametrize(
    ("words", "wanted"), [("std::bad_alloc", MemoryError), ("no such thing", BackendError)]
)
def test_a_request_that_fails_is_told_before_its_file_runs_out_of_time(
    tiny_engine: Path, monkeypatch: pytest.MonkeyPatch, words: str, wanted: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError(words)

    # OpenVINO keeps what a request raises, also in its callback, until it is asked.
    monkeypatch.setattr(OpenVinoBackend, "_keep", fail)
    engine = load_engine(tiny_engine)
    backend = load(engine, "fp32", streams=1)
    batch = batch_of(pictures(1))
    started = time.monotonic()
    with pytest.raises(wanted, match=words):
        list(backend.predict([batch]))
    assert time.monotonic() - started < ScoreOptions.decode_seconds
