"""ONNX to a TensorRT plan: every setting of the build, and nothing of where it is kept."""

from dataclasses import dataclass
from typing import Any

from hambatch.engines.manifest import InputSpec
from hambatch.errors import BackendError
from hambatch.gpu.tensorrt_log import log_of
from hambatch.interrupts import Stop, stopping
from hambatch.plans.monitor import NoProgress, Progress, monitor_of
from hambatch.plans.parsing import parse

FORM = 1
"""Counts up when the same graph and options come to be built otherwise: part of every key."""


@dataclass(frozen=True)
class Recipe:
    """How a plan is built; ``profile`` is the smallest, the usual and the largest batch."""

    profile: tuple[int, int, int]
    workspace_megabytes: int
    hardware_compatible: bool = False
    version_compatible: bool = False


@dataclass(frozen=True)
class Built:
    """The serialized plan, and the timing cache with what this build added; None if none."""

    plan: bytes
    timing: bytes | None


def build_plan(
    trt: Any,
    content: bytes,
    recipe: Recipe,
    spec: InputSpec,
    *,
    timing: bytes | None = None,
    progress: Progress | None = None,
) -> Built:
    """Build a plan on the current GPU.

    Parameters
    ----------
    trt
        The module ``tensorrt``, or one of the same API.
    content
        A serialized ONNX model, in the precision that the plan is to have.
    timing
        What an earlier build left, ``b""`` for a new timing cache, None for none.

    Raises
    ------
    EngineError
        If TensorRT does not take the graph.
    BackendError
        If it cannot build it.
    KeyboardInterrupt
        If Ctrl-C or SIGTERM came meanwhile: the build ends at its next step.
    """
    # What a signal raises while TensorRT works, its bindings swallow: so it is only noted.
    with stopping() as stop:
        built = _build(trt, content, recipe, spec, timing, progress or NoProgress(), stop)
    if built is None or stop.requested:
        raise KeyboardInterrupt
    return built


def _build(
    trt: Any,
    content: bytes,
    recipe: Recipe,
    spec: InputSpec,
    timing: bytes | None,
    progress: Progress,
    stop: Stop,
) -> Built | None:
    """Build it; None if it was asked to stop."""
    log = log_of(trt)
    builder = _builder(trt, log)
    parsed = parse(trt, builder, log, content, spec)
    config = builder.create_builder_config()
    configure(trt, config, recipe)
    _add_profile(trt, builder, config, recipe, spec)
    if timing is not None:
        _use_timing(config, timing)
    monitor = monitor_of(trt, progress, stop)
    config.progress_monitor = monitor
    if stop.requested:
        return None
    plan = builder.build_serialized_network(parsed.network, config)
    if stop.requested:
        return None
    if plan is None:
        raise _failed(trt, log)
    left = bytes(config.get_timing_cache().serialize()) if timing is not None else None
    return Built(bytes(plan), left)


def _builder(trt: Any, log: Any) -> Any:
    try:
        return trt.Builder(log)
    except TypeError as error:
        # What the bindings say when the library gives none.
        raise _failed(trt, log) from error


def configure(trt: Any, config: Any, recipe: Recipe) -> None:
    """Set all that is not of the graph."""
    # FP32 means FP32: TensorRT would multiply with 10 bits of mantissa.
    config.clear_flag(trt.BuilderFlag.TF32)
    # Each image of a batch is computed by the same operations, whatever its slot.
    config.set_flag(trt.BuilderFlag.DISTRIBUTIVE_INDEPENDENCE)
    workspace = recipe.workspace_megabytes * 10**6
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    if recipe.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if recipe.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)


def _add_profile(trt: Any, builder: Any, config: Any, recipe: Recipe, spec: InputSpec) -> None:
    profile = builder.create_optimization_profile()
    sides = [trt.Dims([batch, spec.height, spec.width, 3]) for batch in recipe.profile]
    profile.set_shape(spec.name, *sides)
    if config.add_optimization_profile(profile) < 0:
        raise BackendError(
            f"TensorRT {trt.__version__} refuses batches of {recipe.profile}.\n"
            "Next: hambatch build --max-batch 32"
        )


def _use_timing(config: Any, timing: bytes) -> None:
    """Start from what was timed before; what does not fit is timed anew."""
    cache = config.create_timing_cache(timing)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)


def _failed(trt: Any, log: Any) -> BackendError:
    lines = "\n  ".join(log.errors or ["it gives no reason"])
    return BackendError(
        f"TensorRT {trt.__version__} cannot build the plan:\n  {lines}\n"
        "Next: free memory on the GPU (nvidia-smi lists who holds it), or build for less: "
        "hambatch build --max-batch 8"
    )
