"""Fast lanes, the GPU's and its double on host memory, and what they are fed with."""

import ctypes
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.dali_lane import DaliLane
from hambatch.pipelines.decoder_log import DecoderLog
from hambatch.pipelines.scoring import CheckedLane, FastLane, ScoringPipeline, build_pipeline
from hambatch.pipelines.slow_lane import SlowLane
from hambatch.sources.reading import Fetched
from hambatch.types import Batch, on_host

SPEC, HOW = InputSpec(), Preprocessing()
SIZE = 4

BOTH_LANES = ["host", pytest.param("mixed", marks=pytest.mark.gpu)]

LEVELS = {"host": 0.0, "mixed": 1.0}
"""How far a lane's pixels may be from the CPU's, in the mean over a picture."""


class HostAsDevice(DaliLane):
    """Decodes on the CPU, and hands out where the pixels lie as if that were on a GPU."""

    def __init__(self) -> None:
        super().__init__(SIZE, 1, SPEC, HOW)
        self.own_pixels, self.name = True, "dali-gpu"


def lane_of(kind: str) -> Callable[[], FastLane]:
    """Give what builds the lane; the test is skipped where there is no GPU for it."""
    if kind == "host":
        return HostAsDevice
    if reason := why_no_gpu():
        pytest.skip(reason)
    return lambda: DaliLane(SIZE, 2, SPEC, HOW, gpu=0)


def why_no_gpu() -> str:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return f"needs an NVIDIA GPU: {error}"
    code = driver.cuInit(0)
    return f"needs an NVIDIA GPU: cuInit gives {code}" if code else ""


def pipeline_of(build: Callable[[], FastLane], *, with_dali: bool = True) -> ScoringPipeline:
    log = DecoderLog()
    salvage = SlowLane(SPEC, HOW, log=log, with_dali=with_dali)
    return ScoringPipeline(CheckedLane(build, log), salvage, 3, SPEC)


def files_of(contents: list[bytes]) -> list[Fetched]:
    return [Fetched(k, content, f"hash{k}") for k, content in enumerate(contents)]


def fetched_of(contents: list[bytes], size: int = SIZE) -> list[list[Fetched]]:
    """The files as they come from the source, so many a batch."""
    files = files_of(contents)
    return [files[k : k + size] for k in range(0, len(files), size)]


def pixels_of(batches: Iterable[Batch]) -> dict[int, np.ndarray]:
    return {
        index: pixels
        for batch in batches
        for index, pixels in zip(batch.indices.tolist(), on_host(batch.images), strict=True)
    }


def by_cpu(contents: list[bytes]) -> dict[int, np.ndarray]:
    return pixels_of(build_pipeline(SIZE, 2, 2, SPEC, HOW).batches(fetched_of(contents)))


def assert_same_pixels(found: Iterable[Batch], wanted: dict[int, np.ndarray]) -> None:
    """Every image that was decoded is the wanted one to the byte."""
    for index, pixels in pixels_of(found).items():
        np.testing.assert_array_equal(pixels, wanted[index])


def mean_difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())
