"""TensorRT-RTX stands in for TensorRT: the same builder and parser, and no GPU needed."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any

import numpy as np
import pytest

from hambatch.backends.tensorrt.library import Target
from hambatch.backends.tensorrt.plans.invariance import Predict
from hambatch.system.gpus import Gpu

CARD = Gpu(0, "NVIDIA Made-Up", (8, 9), 24 * 10**9, "")
DRIVER = "580.1"
CUDA = 13000


def rtx() -> Any:
    """Import it; skip where there is none."""
    reason = "TensorRT-RTX has wheels for Linux on x86-64 only"
    return pytest.importorskip("tensorrt_rtx_bindings", reason=reason)


def target() -> Target:
    """A made-up card."""
    trt = rtx()
    return Target(trt, trt.__version__, CARD, DRIVER, CUDA, times_kernels=False)


class Phases:
    """Notes what a build does; ``stop_at`` is the step at which Ctrl-C comes."""

    def __init__(self, stop_at: int = 0) -> None:
        self.begun: list[str] = []
        self.over: list[str] = []
        self.steps, self.stop_at = 0, stop_at

    def start(self, phase: str, steps: int) -> None:
        self.begun.append(phase)

    def step(self, phase: str) -> None:
        self.steps += 1
        if self.steps == self.stop_at:
            raise KeyboardInterrupt

    def finish(self, phase: str) -> None:
        self.over.append(phase)


@lru_cache(maxsize=1)
def openvino_predict(content: bytes) -> Predict:
    """Score with OpenVINO, in FP32, on one thread; the graph of the last call is kept."""
    import openvino

    core = openvino.Core()
    hint = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = core.compile_model(core.read_model(content), "CPU", hint)
    return lambda images: np.array(compiled(images)["logits"])


class OpenVinoTrial:
    """A GPU that builds anything, and "runs" every plan as the ONNX on OpenVINO.

    ``spoil`` makes another predict of the true one.
    """

    def __init__(
        self, content: bytes, spoil: Callable[[Predict], Predict] = lambda true: true
    ) -> None:
        self._content, self._spoil = content, spoil
        self.plans: list[bytes] = []

    def current(self) -> AbstractContextManager[None]:
        return nullcontext()

    @contextmanager
    def running(self, plan: bytes) -> Iterator[Predict]:
        self.plans.append(plan)
        yield self._spoil(openvino_predict(self._content))
