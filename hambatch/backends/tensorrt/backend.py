"""Loading the TensorRT backend: a kept plan, on the GPU, in slots that fit into its memory."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from hambatch.backends.tensorrt.device import Device
from hambatch.backends.tensorrt.requests import REQUEST_SIZE, TensorRtBackend
from hambatch.backends.tensorrt.slot import ExecutionContext, RequestForm
from hambatch.engines.loading import Engine
from hambatch.errors import OutOfMemory

MOST_SLOTS = 4
"""By default there is a stream for each core; a GPU needs two or three requests in flight to be
busy all the time, and each has memory of its own."""


def load(
    engine: Engine,
    precision: str,
    streams: int,
    *,
    model_cache: Path | None = None,
    ordinal: int = 0,
    request_size: int = REQUEST_SIZE,
    double_check: float = 0.0,
) -> TensorRtBackend:
    """Open a GPU, and load the engine's plan of one precision into slots.

    Raises EngineError if the plan's input or outputs are not those of ``engine.json``;
    BackendError if there is no such GPU, no plan is kept for it, or it cannot run it.

    Parameters
    ----------
    streams
        How many slots, at most :data:`MOST_SLOTS`.
    model_cache
        Not used: plans have a folder of their own.
    ordinal
        The GPU's number, as CUDA counts.
    request_size
        Halved until slots fit into the GPU's memory: then name and note say so.
    double_check
        Percentage of requests to compute twice.
    """
    from hambatch.backends.tensorrt.plans.build import kept_plan_for
    from hambatch.backends.tensorrt.pycuda_device import PyCudaDevice
    from hambatch.backends.tensorrt.runtime import LoadedPlan

    content = kept_plan_for(engine, precision, request_size, ordinal).content
    form = RequestForm.of(engine.manifest, request_size)
    name, slots = f"tensorrt-{precision}", min(streams, MOST_SLOTS)
    device = PyCudaDevice(ordinal)
    with ExitStack() as undo_device:
        undo_device.callback(device.close)
        # The plan is let go of while the device's context is current.
        with device.current(), ExitStack() as undo_plan:
            plan = LoadedPlan(content)
            undo_plan.callback(plan.close)
            plan.check(form)
            make, close = plan.make_context, plan.close
            backend = fitting_backend(name, device, make, form, slots, close, double_check)
            undo_plan.pop_all()
        undo_device.pop_all()
    return backend


def fitting_backend(
    name: str,
    device: Device,
    make_context: Callable[[], ExecutionContext],
    form: RequestForm,
    slots: int,
    close_plan: Callable[[], None] | None = None,
    double_check: float = 0.0,
) -> TensorRtBackend:
    """Make slots for requests of that form, or of half as many images, until they fit.

    Another request size may change the last bits of scores, so it is part of the name. Raises
    OutOfMemory if not even requests of one image fit.
    """
    called, note, size = name, "", form.size
    while True:
        sized = replace(form, size=size)
        try:
            return TensorRtBackend(
                called, device, make_context, sized, slots, note, close_plan, double_check
            )
        except OutOfMemory:
            if size == 1:
                raise
        size //= 2
        called = f"{name}-b{size}"
        note = f"requests hold {size} images, not {form.size}: the GPU's memory is full"
