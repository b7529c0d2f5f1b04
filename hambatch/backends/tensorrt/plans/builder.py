"""ONNX to a TensorRT plan: every setting of the build, and nothing of where it is kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from hambatch.backends.tensorrt.runtime import log_of
from hambatch.engines.manifest import InputSpec
from hambatch.errors import BackendError, EngineError
from hambatch.system.interrupts import Stop, stopping


class Progress(Protocol):
    """Shows the phases of a build; one phase may run inside another."""

    def start(self, phase: str, steps: int) -> None:
        """A phase of so many steps begins."""
        ...

    def step(self, phase: str) -> None:
        """One more of its steps is done."""
        ...

    def finish(self, phase: str) -> None:
        """The phase is over, complete or not."""
        ...


class NoProgress:
    """Shows nothing."""

    def start(self, phase: str, steps: int) -> None:
        """Let a phase begin."""

    def step(self, phase: str) -> None:
        """Let a step be done."""

    def finish(self, phase: str) -> None:
        """Let a phase end."""


def monitor_of(trt: Any, progress: Progress, stop: Stop) -> Any:
    """Make TensorRT's progress monitor, which ends the build at its next step after ``stop``.

    An exception may not pass through the builder: the bindings swallow it. So a second Ctrl-C,
    which is raised, is noted like the first.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            with self._noting():
                progress.start(phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            with self._noting():
                progress.step(phase_name)
            return not stop.requested

        def phase_finish(self, phase_name: str) -> None:
            with self._noting():
                progress.finish(phase_name)

        @contextmanager
        def _noting(self) -> Iterator[None]:
            try:
                yield
            except KeyboardInterrupt:
                stop.requested = True

    return Monitor()


OUTPUTS = frozenset({"logits", "features"})


@dataclass(frozen=True)
class Parsed:
    """The network, and the parser that owns some of its weights until the plan is built."""

    network: Any
    parser: Any


def parse(trt: Any, builder: Any, log: Any, content: bytes, spec: InputSpec) -> Parsed:
    """Read a serialized ONNX model into a new, strongly typed network.

    Raises
    ------
    EngineError
        With everything that the parser refuses; or if the input or the outputs are others.
    """
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(content):
        errors = [_said(parser.get_error(k)) for k in range(parser.num_errors)]
        lines = "\n  ".join(errors or log.errors or ["it gives no reason"])
        raise EngineError(
            f"TensorRT {trt.__version__} does not take this graph:\n  {lines}\n"
            "Next: hambatch export, which writes graphs that it takes"
        )
    _check(trt, network, spec)
    return Parsed(network, parser)


def _said(error: Any) -> str:
    """Name the node and the complaint."""
    code = str(error.code()).rpartition(".")[2]
    node = f"{error.node_operator()} node {error.node_name()!r} (number {error.node()})"
    return f"{node}: {error.desc()} [{code}]"


def _check(trt: Any, network: Any, spec: InputSpec) -> None:
    """Compare inputs and outputs with what every engine has; the batch is to be dynamic."""
    found = _signatures(network.get_input(k) for k in range(network.num_inputs))
    wanted = {spec.name: f"{trt.DataType.UINT8} [?,{spec.height},{spec.width},3]"}
    if found != wanted:
        raise _other("input", found, wanted, " The batch dimension has to be dynamic.")
    outputs = _signatures(network.get_output(k) for k in range(network.num_outputs))
    if set(outputs) != OUTPUTS or any(
        str(trt.DataType.FLOAT) not in one for one in outputs.values()
    ):
        raise _other(
            "outputs", outputs, dict.fromkeys(sorted(OUTPUTS), f"{trt.DataType.FLOAT}"), ""
        )


def _signatures(tensors: Any) -> dict[str, str]:
    return {tensor.name: f"{tensor.dtype} [{_sides(tensor.shape)}]" for tensor in tensors}


def _sides(shape: Any) -> str:
    return ",".join("?" if side < 0 else str(side) for side in shape)


def _other(what: str, found: dict[str, str], wanted: dict[str, str], note: str) -> EngineError:
    return EngineError(
        f"the graph's {what} cannot be built for: found {found}, wanted {wanted}.{note}\n"
        "Next: hambatch export, which writes such graphs"
    )


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
