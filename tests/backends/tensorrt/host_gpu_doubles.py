"""Doubles that make GPUs of host memory, for whole commands.

What a machine with GPUs has is there: a driver that names them, a kept plan for each
precision, DALI's ``mixed`` lane (the CPU's, whose batches lie "on the device"), and the
``tensorrt`` backend on host memory that fails on misuse (``host_memory.py``).
All else is the real code. Rows are those of the CPU path: the plan is the ONNX, run by OpenVINO.

Variables of the environment:

HOST_GPUS           how many there are; default 2
HOST_GPU_FAILS      ``1:3``: GPU 1 fails at its third request of every process;
                    ``*:3``: each does; ``1:3:kill``: its process dies of SIGABRT then;
                    ``1:3:hang``: it never returns; ``1:close``: it fails as it is released;
                    ``1:load``: its engine is refused; ``1:import``: its process ends
                    with an ImportError
HOST_GPU_CRASHES_AT SHA-256 of files: decoding one on a GPU kills the process
HOST_CPU_CRASHES_AT likewise, on the CPU
HOST_GPU_WRONG      ``1``: GPU 1 gives wrong scores
HOST_GPU_BUILDS     ``refused``: no plan is kept

A test whose fault never fires shows nothing, and fails.
"""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 4
"""Images a request, as OpenVINO has them: so the last bits are its."""

NAME = "Host-Memory GPU"


FAULTS = (
    "HOST_GPU_FAILS",
    "HOST_GPU_CRASHES_AT",
    "HOST_CPU_CRASHES_AT",
    "HOST_GPU_WRONG",
    "HOST_GPU_BUILDS",
)


def _fired() -> None:
    Path(os.environ["HOST_GPU_FIRED"], "fired").touch()


def install(put: Callable[[object, str, object], object]) -> None:
    """Put the doubles in the place of the real things; ``put`` is ``setattr`` or alike."""
    import hambatch.backends.tensorrt.backend as backend
    import hambatch.backends.tensorrt.plans.build as plans
    import hambatch.pipelines.dali_lane as lane
    import hambatch.pipelines.scoring as scoring
    import hambatch.scoring.plan as placement
    import hambatch.system.gpus as choosing

    put(choosing, "probe_gpus", probe)
    put(placement, "probe_gpus", probe)
    put(placement, "_is_installed", lambda package: True)
    put(plans, "kept_plan_for", kept_plan_for)
    put(backend, "load", load)
    put(scoring, "DaliLane", _lane(lane, put))


def probe() -> Any:
    """Say what a driver says."""
    from hambatch.system.gpus import Gpu, Probe

    count = int(os.environ.get("HOST_GPUS", "2"))
    if not count:
        return Probe("", 0, (), "no NVIDIA driver is installed", "hambatch doctor", absent=True)
    gpus = tuple(Gpu(k, NAME, (9, 0), 1 << 36, f"{k:032x}") for k in range(count))
    return Probe("580.1", 13000, gpus, "", "")


def kept_plan_for(engine: Any, precision: str, max_batch: int, ordinal: int) -> Any:
    """Give a plan for each precision that the engine has a graph for."""
    from hambatch.backends.tensorrt.plans.cache import KeptPlan
    from hambatch.engines.backend_names import graph_precision
    from hambatch.errors import BackendError
    from tests.backends.tensorrt.plans.made_plans import record

    if os.environ.get("HOST_GPU_BUILDS") == "refused" or not probe().gpus:
        _fired()
        raise BackendError("there is no plan.\nNext: hambatch build")
    graph = engine.manifest.files[engine.variant(graph_precision(precision)).file].sha256
    content = f"{precision} {graph}".encode()
    key = {"gpu": NAME, "precision": precision, "onnx_sha256": graph, "profile": (1, 64, max_batch)}
    return KeptPlan(content, record(content, **key))


def load(
    engine: Any,
    precision: str,
    streams: int,
    *,
    model_cache: Path | None = None,
    ordinal: int = 0,
    request_size: int = SIZE,
) -> Any:
    """Make the backend that ``tensorrt`` would be on that GPU."""
    from hambatch.backends.tensorrt.plans.build import kept_plan_for as kept
    from hambatch.backends.tensorrt.requests import TensorRtBackend
    from hambatch.engines.backend_names import graph_precision
    from tests.backends.tensorrt.host_engine import HostEngine, form_of

    kept(engine, precision, request_size, ordinal)
    device = _device()
    host = HostEngine(device, engine, graph_precision(precision), before=_failing(ordinal))
    form = form_of(engine, request_size)
    backend = TensorRtBackend(f"tensorrt-{precision}", device, host.make_context, form, 2)
    _fail_outside_requests(backend, ordinal)
    if os.environ.get("HOST_GPU_WRONG") == str(ordinal):
        _give_wrong_scores(backend)
    return backend


def _failure(ordinal: int) -> list[str]:
    """When this GPU fails, and how; nothing, if it does not."""
    which, *when_and_how = os.environ.get("HOST_GPU_FAILS", "").split(":")
    return when_and_how if which in (str(ordinal), "*") else []


def _failing(ordinal: int) -> Callable[[], object]:
    failure = _failure(ordinal)
    at, how = int(failure[0]) if failure and failure[0].isdigit() else 0, failure[1:]
    done = 0

    def before() -> None:
        nonlocal done
        done += 1
        if not at or done < at:
            return
        _fired()
        if how == ["kill"]:
            os.kill(os.getpid(), signal.SIGABRT)
        if how == ["hang"]:
            time.sleep(600)
        raise RuntimeError("Xid 79: it has fallen off the bus")

    return before


def _fail_outside_requests(backend: Any, ordinal: int) -> None:
    from hambatch.errors import DeviceLost, EngineError

    failure, real = _failure(ordinal), backend.close

    def close() -> None:
        real()
        _fired()
        raise DeviceLost("the GPU failed (releasing it).\nNext: none")

    if failure == ["load"]:
        _fired()
        raise EngineError("the plan does not fit.\nNext: none")
    if failure == ["import"]:
        _fired()
        raise ImportError("libnvinfer.so.11: no such file")
    if failure == ["close"]:
        backend.close = close


def _give_wrong_scores(backend: Any) -> None:
    real = backend._finished

    def finished(pending: Any) -> Any:
        scored = real(pending)
        _fired()
        scored.logits[...] = np.roll(scored.logits, 1, axis=1)
        return scored

    backend._finished = finished


_devices: list[Any] = []


def _device() -> Any:
    """Give this process its device: where the lane's batches lie, the backend reads them."""
    from tests.backends.tensorrt.host_memory import HostDevice

    _devices.append(HostDevice())
    return _devices[-1]


def _lane(module: Any, put: Callable[[object, str, object], object]) -> type:
    class HostLane(module.DaliLane):  # type: ignore[misc]
        """DALI's lane; a GPU's is the CPU's, and its batches are said to be on the device."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            given = [*arguments]
            on_gpu = len(given) > 4 and given[4] is not None
            if on_gpu:
                given[4] = None
            super().__init__(*given, **named)
            if on_gpu:
                self.own_pixels, self.name = True, "dali-gpu"

        def feed(self, files: Any) -> None:
            where = "GPU" if self.own_pixels else "CPU"
            crashing = os.environ.get(f"HOST_{where}_CRASHES_AT", "").split()
            if any(f.sha256 in crashing for f in files):
                _fired()
                os.kill(os.getpid(), signal.SIGSEGV)
            super().feed(files)

    real = module.left_on_device

    def left_on_device(images: Any) -> Any:
        found = real(images)
        if _devices:
            _follow(_devices[-1], found)
        return found

    put(module, "left_on_device", left_on_device)
    return HostLane


def _follow(device: Any, images: Any) -> None:
    """Let the device know memory that DALI allocated."""
    import weakref

    from tests.backends.tensorrt.ordering import Region

    region = Region("memory of decoded images", images.pointer, int(np.prod(images.shape)))
    device._regions.append(region)
    weakref.finalize(images.owner, device._gone, region)
