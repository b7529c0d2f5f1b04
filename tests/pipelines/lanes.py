"""The GPU's fast lane, and its double on host memory: what one must do, both are asked."""

import ctypes
from collections.abc import Callable

import numpy as np
import pytest

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.dali_lane import DaliScoring
from hambatch.pipelines.decoder_log import DecoderLog
from hambatch.pipelines.scoring import FastLane, Flight, ScoringPipeline
from hambatch.pipelines.slow_lane import Salvage

SPEC, HOW = InputSpec(), Preprocessing()
SIZE = 4

BOTH_LANES = ["host", pytest.param("mixed", marks=pytest.mark.gpu)]

LEVELS = {"host": 0.0, "mixed": 1.0}
"""How far a lane's pixels may be from the CPU's, in the mean over a picture."""


class HostAsDevice(DaliScoring):
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
    return lambda: DaliScoring(SIZE, 2, SPEC, HOW, "mixed")


def why_no_gpu() -> str:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        return f"needs an NVIDIA GPU: {error}"
    code = driver.cuInit(0)
    return f"needs an NVIDIA GPU: cuInit gives {code}" if code else ""


def pipeline_of(build: Callable[[], FastLane], prefetch: int = 3) -> ScoringPipeline:
    log = DecoderLog()
    return ScoringPipeline(Flight(build, log), Salvage(SPEC, HOW, log=log), prefetch, SPEC)


def mean_difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())
