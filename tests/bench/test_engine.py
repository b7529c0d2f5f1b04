"""Every combination of settings is measured once."""

from pathlib import Path

import pytest

from hambatch.backends.openvino_cpu import REQUEST_SIZE
from hambatch.bench.engine import combinations, single_streams
from hambatch.bench.inference import Setting
from hambatch.bench.options import BenchEngineOptions
from hambatch.engines.loading import load_engine
from hambatch.errors import EngineError
from hambatch.system.cpu import share_cores


def test_zero_means_what_score_uses(tiny_engine: Path) -> None:
    manifest = load_engine(tiny_engine).manifest
    (found,) = combinations(BenchEngineOptions(), manifest)
    assert found == Setting("openvino", "fp32", REQUEST_SIZE, share_cores().streams, 1)


def test_settings_that_come_to_the_same_are_measured_once(tiny_engine: Path) -> None:
    manifest = load_engine(tiny_engine).manifest
    options = BenchEngineOptions(
        batch_size=(0, REQUEST_SIZE, 2), streams=(1, 2), precision=("auto", "fp32")
    )
    found = combinations(options, manifest)
    sizes = [(4, 1), (4, 2), (2, 1), (2, 2)]
    assert [(s.batch_size, s.streams) for s in found] == sizes
    assert [(s.batch_size, s.streams) for s in single_streams(found)] == [(4, 1), (2, 1)]


@pytest.mark.usefixtures("with_bfloat16")
def test_a_precision_is_measured_whatever_its_gate_says(tiny_engine: Path) -> None:
    manifest = load_engine(tiny_engine).manifest
    (found,) = combinations(BenchEngineOptions(precision=("bf16",), streams=(1,)), manifest)
    assert found.precision == "bf16"
    with pytest.raises(EngineError, match="no int8 graph"):
        combinations(BenchEngineOptions(precision=("int8-bf16",)), manifest)


def test_a_precision_that_the_engine_lacks_is_refused(tiny_engine: Path) -> None:
    with pytest.raises(EngineError, match=r"runs .* only, wanted int4"):
        combinations(BenchEngineOptions(precision=("int4",)), load_engine(tiny_engine).manifest)
