"""TensorRT on a GPU: a plan compiled on a GPU of that model, loaded into slots."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from hambatch.backends.tensorrt.device import Device
from hambatch.backends.tensorrt.requests import REQUEST_SIZE, TensorRtBackend
from hambatch.backends.tensorrt.slot import ExecutionContext, RequestForm
from hambatch.engines.loading import Engine
from hambatch.errors import OutOfMemory

T = TypeVar("T")


def fitted(make: Callable[[int], T], size: int) -> T:
    """Make it for ``size`` images; if that does not fit, for half as many, and so on.

    Raises
    ------
    OutOfMemory
        If one image does not fit.
    """
    while True:
        try:
            return make(size)
        except OutOfMemory:
            if size == 1:
                raise
        size //= 2


MOST_SLOTS = 4
"""Streams are one a core where nothing else is asked for; a GPU needs two or three requests in
flight to be busy all the time, and each has memory of its own."""


def load(
    engine: Engine,
    precision: str,
    streams: int,
    *,
    model_cache: Path | None = None,
    ordinal: int = 0,
    request_size: int = REQUEST_SIZE,
) -> TensorRtBackend:
    """Open a GPU, and load the engine's plan of one precision into slots.

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

    Raises
    ------
    EngineError
        If the plan's input or outputs are not those of ``engine.json``.
    BackendError
        If there is no such GPU, no plan is kept for it, or it cannot run it.
    """
    from hambatch.backends.tensorrt.plans.build import kept_plan_for
    from hambatch.backends.tensorrt.pycuda_device import PyCudaDevice

    plan = kept_plan_for(engine, precision, request_size, ordinal).content
    form = RequestForm.of(engine.manifest, request_size)
    with ExitStack() as undo:
        device = PyCudaDevice(ordinal)
        undo.callback(device.close)
        backend = _on(device, plan, f"tensorrt-{precision}", form, min(streams, MOST_SLOTS))
        undo.pop_all()
    return backend


def _on(
    device: Device, content: bytes, name: str, form: RequestForm, slots: int
) -> TensorRtBackend:
    """Load a plan that was proven whole; it is let go of where the device's context is current."""
    from hambatch.backends.tensorrt.runtime import LoadedPlan

    with device.current(), ExitStack() as undo:
        plan = LoadedPlan(content)
        undo.callback(plan.close)
        plan.check(form)
        backend = fitting_backend(name, device, plan.make_context, form, slots, plan.close)
        undo.pop_all()
    return backend


def fitting_backend(
    name: str,
    device: Device,
    make_context: Callable[[], ExecutionContext],
    form: RequestForm,
    slots: int,
    close_plan: Callable[[], None] | None = None,
) -> TensorRtBackend:
    """Make slots for requests of that form, or of half as many images, until they fit.

    Another request size may change the last bits of scores: the name tells it.

    Raises
    ------
    OutOfMemory
        If not even requests of one image fit.
    """

    def make(size: int) -> TensorRtBackend:
        smaller = size < form.size
        called = f"{name}-b{size}" if smaller else name
        note = (
            f"requests hold {size} images, not {form.size}: the GPU's memory is full"
            if smaller
            else ""
        )
        sized = replace(form, size=size)
        return TensorRtBackend(called, device, make_context, sized, slots, note, close_plan)

    return fitted(make, form.size)
