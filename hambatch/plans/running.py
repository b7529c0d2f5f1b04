"""The GPU on which a plan is built and tried: what the build needs of it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import Manifest
from hambatch.gpu.device import Device
from hambatch.gpu.execution import ExecutionContext
from hambatch.gpu.slot import RequestForm, Slot
from hambatch.plans.invariance import Images, Predict


class Trial(Protocol):
    """One GPU."""

    def current(self) -> AbstractContextManager[None]:
        """Make it the one that TensorRT builds on, in this thread."""
        ...

    def running(self, plan: bytes) -> AbstractContextManager[Predict]:
        """Load a plan; give what scores images with it, in requests of just their number."""
        ...


class GpuTrial:
    """A GPU through PyCUDA; it is opened for each of the two, and closed after it."""

    def __init__(self, ordinal: int, manifest: Manifest) -> None:
        self._ordinal, self._manifest = ordinal, manifest

    @contextmanager
    def current(self) -> Iterator[None]:
        """Push its context."""
        with self._device() as device, device.current():
            yield

    @contextmanager
    def running(self, plan: bytes) -> Iterator[Predict]:
        """Load the plan, and make a slot for every number of images that comes."""
        from hambatch.gpu.tensorrt_runtime import LoadedPlan

        with self._device() as device, device.current(), ExitStack() as owned:
            loaded = LoadedPlan(plan)
            owned.callback(loaded.close)
            yield predict_in_slots(device, loaded.make_context, self._manifest, owned)

    @contextmanager
    def _device(self) -> Iterator[Device]:
        from hambatch.gpu.pycuda_device import PyCudaDevice

        device = PyCudaDevice(self._ordinal)
        try:
            yield device
        finally:
            device.close()


def predict_in_slots(
    device: Device,
    make_context: Callable[[], ExecutionContext],
    manifest: Manifest,
    owned: ExitStack,
) -> Predict:
    """Score by the slots that the ``tensorrt`` backend scores by; ``owned`` closes them."""
    slots: dict[int, Slot] = {}

    def predict(images: Images) -> NDArray[np.float32]:
        size = len(images)
        if size not in slots:
            slots[size] = Slot(device, make_context, RequestForm.of(manifest, size))
            owned.callback(slots[size].close)
        slots[size].add(images, 0, size)
        slots[size].start()
        logits: NDArray[np.float32] = slots[size].finish()["logits"].copy()
        return logits

    return predict
