"""The trial of a new plan: on a GPU, with the engine's sentinels."""

import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.tensorrt.device import Device
from hambatch.backends.tensorrt.plans.invariance import Images, Predict
from hambatch.backends.tensorrt.slot import ExecutionContext, RequestForm, Slot
from hambatch.engines.loading import Engine, engine_word
from hambatch.engines.manifest import Manifest
from hambatch.engines.probabilities import softmax
from hambatch.engines.synthetic import write_sentinel_images
from hambatch.errors import EngineError
from hambatch.pipelines.decode import decode


def decode_sentinels(engine: Engine) -> Images:
    """Decode and resize the sentinels on the CPU; for an engine without any they are drawn."""
    how = engine.manifest.input, engine.manifest.preprocessing
    names = [sentinel.file for sentinel in engine.manifest.sentinels.pictures]
    if names:
        return decode([engine.folder / name for name in names], *how)
    with tempfile.TemporaryDirectory(prefix="hambatch-") as drawn:
        folder = Path(drawn)
        return decode([folder / name for name in write_sentinel_images(folder)], *how)


def compare_sentinels(
    engine: Engine, precision: str, predict: Predict, images: Images
) -> dict[str, Any]:
    """Compare a plan's scores of the sentinels with the engine's record, which a CPU made.

    Returns ``images``, ``max_difference`` of a probability and its ``tolerance``; nothing if the
    engine has no record. Raises EngineError if a probability is farther off.
    """
    recorded = engine.manifest.sentinels.of(precision)
    if recorded is None or not recorded.pictures:
        return {}
    wanted = np.array([sentinel.probabilities for sentinel in recorded.pictures])
    logits = np.concatenate([predict(image[np.newaxis]) for image in images])
    largest, tolerance = float(np.abs(softmax(logits) - wanted).max()), recorded.tolerance_elsewhere
    if not largest <= tolerance:
        other = "" if precision == "fp32" else "hambatch build --precision fp32, or "
        raise EngineError(
            f"the plan is refused: a probability of a sentinel is {largest:.1e} from the record "
            f"of {engine.manifest.name}, wanted {tolerance:.0e} at most.\n"
            f"Next: {other}hambatch engines verify {shlex.quote(engine_word(engine.folder))}"
        )
    return {"images": len(images), "max_difference": largest, "tolerance": tolerance}


class Trial(Protocol):
    """One GPU."""

    def current(self) -> AbstractContextManager[None]:
        """Make it the one that TensorRT builds on, in this thread."""

    def running(self, plan: bytes) -> AbstractContextManager[Predict]:
        """Load a plan; the result scores images with it, in requests of just their number."""


class GpuTrial:
    """A GPU through PyCUDA; it is opened for each of the two, and closed after it."""

    def __init__(self, ordinal: int, manifest: Manifest) -> None:
        self._ordinal, self._manifest = ordinal, manifest

    @contextmanager
    def current(self) -> Iterator[None]:
        """Push its context."""
        with self._device():
            yield

    @contextmanager
    def running(self, plan: bytes) -> Iterator[Predict]:
        """Load the plan, and make a slot for every number of images that comes."""
        from hambatch.backends.tensorrt.runtime import LoadedPlan

        with self._device() as device, ExitStack() as owned:
            loaded = LoadedPlan(plan)
            owned.callback(loaded.close)
            yield predict_in_slots(device, loaded.make_context, self._manifest, owned)

    @contextmanager
    def _device(self) -> Iterator[Device]:
        from hambatch.backends.tensorrt.pycuda_device import PyCudaDevice

        with closing(PyCudaDevice(self._ordinal)) as device, device.current():
            yield device


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
