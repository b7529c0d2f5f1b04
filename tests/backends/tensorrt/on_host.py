"""The TensorRT backend on host memory, and what it stands on."""

from collections.abc import Callable

import numpy as np

from hambatch.backends.tensorrt.requests import TensorRtBackend
from hambatch.engines.loading import Engine
from hambatch.types import Batch
from tests.backends.tensorrt.host_engine import HostEngine, form_of
from tests.backends.tensorrt.host_memory import HostDevice

SIZE = 4
"""Images a request."""


class OnHost:
    """Close ``backend``: it fails if something was leaked."""

    def __init__(
        self,
        engine: Engine,
        size: int = SIZE,
        slots: int = 2,
        before: Callable[[], object] = bool,
        double_check: float = 0.0,
    ) -> None:
        self.device = HostDevice()
        self.engine = HostEngine(self.device, engine, before=before)
        self.backend = TensorRtBackend(
            "tensorrt-fp32",
            self.device,
            self.engine.make_context,
            form_of(engine, size),
            slots,
            double_check=double_check,
        )

    def batch(self, images: np.ndarray, first: int = 0, shift: int = 0) -> Batch:
        """Make a batch whose images are on the device."""
        there = self.device.decoded(images, shift=shift)
        indices = np.arange(first, first + len(images))
        return Batch(indices, there, ["dali-gpu"] * len(images), [""] * len(images))
