"""TensorRT on a GPU: a plan compiled on that very GPU, loaded into slots."""

import importlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from hambatch.backends.tensorrt_requests import TensorRtBackend
from hambatch.engines.loading import Engine
from hambatch.errors import BackendError
from hambatch.gpu.device import Device
from hambatch.gpu.execution import ExecutionContext
from hambatch.gpu.fitting import fitted
from hambatch.gpu.slot import RequestForm

REQUEST_SIZE = 64
"""Images a request, always: the last one is filled up, so that an image's scores depend on
nothing but its pixels. From about here on ResNet50 keeps a GPU busy; not measured yet."""

FEATURES = 2048


def load(
    engine: Engine,
    precision: str,
    streams: int,
    *,
    model_cache: Path | None = None,
    ordinal: int = 0,
    request_size: int = REQUEST_SIZE,
) -> TensorRtBackend:
    """Open a GPU, and load the engine's plan of one precision into ``streams`` slots.

    Parameters
    ----------
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
        If there is no such GPU, or it cannot run the plan.
    """
    from hambatch.gpu.pycuda_device import PyCudaDevice
    from hambatch.gpu.tensorrt_runtime import LoadedPlan

    content = _plan_for(engine, precision, request_size, _usable_gpu(ordinal))
    manifest = engine.manifest
    image = (manifest.input.height, manifest.input.width, 3)
    widths = {"logits": len(manifest.classes), "features": FEATURES}
    form = RequestForm(request_size, manifest.input.name, image, widths)
    with ExitStack() as undo:
        device = PyCudaDevice(ordinal)
        undo.callback(device.close)
        with device.current():
            plan = LoadedPlan(content)
            undo.callback(plan.close)
            plan.check(form)
        backend = fitting_backend(f"tensorrt-{precision}", device, plan.make_context, form, streams)
        undo.pop_all()
    return backend


def fitting_backend(
    name: str,
    device: Device,
    make_context: Callable[[], ExecutionContext],
    form: RequestForm,
    slots: int,
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
        return TensorRtBackend(called, device, make_context, replace(form, size=size), slots, note)

    return fitted(make, form.size)


def _usable_gpu(ordinal: int) -> Any:
    """Look first: TensorRT without a usable GPU takes the process with it."""
    probe = importlib.import_module("hambatch.gpu.probe").probe_gpus()
    if not probe.usable:
        raise BackendError(f"no GPU can be used: {probe.problem}.\nNext: {probe.next}")
    for gpu in probe.gpus:
        if gpu.ordinal == ordinal:
            return gpu
    raise BackendError(
        f"there is no GPU {ordinal}: this machine has {len(probe.gpus)}, numbered from 0.\n"
        "Next: hambatch doctor"
    )


def _plan_for(engine: Engine, precision: str, request_size: int, gpu: Any) -> bytes:
    """Take the plan from the private cache, verified; or build it there."""
    plans = importlib.import_module("hambatch.plans")
    content: bytes = plans.plan_for(engine, precision, request_size, gpu)
    return content
