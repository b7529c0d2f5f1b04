"""ONNX to a TensorRT plan: every setting of the build, and nothing of where it is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from hambatch.backends.tensorrt.options import BuildOptions
from hambatch.backends.tensorrt.runtime import log_of
from hambatch.engines.manifest import InputSpec
from hambatch.errors import BackendError, EngineError
from hambatch.system.interrupts import Stop, stopping

FORM = 1
"""Counts up when the same graph and options come to be built otherwise: part of every key."""

OUTPUTS = frozenset({"logits", "features"})


class Progress(Protocol):
    """Shows the phases of a build; one phase may run inside another."""

    def start(self, phase: str, steps: int) -> None:
        """A phase of so many steps begins."""

    def step(self, phase: str) -> None:
        """One more of its steps is done."""

    def finish(self, phase: str) -> None:
        """The phase is over, complete or not."""


@dataclass(frozen=True)
class Built:
    """The serialized plan, and the timing cache with what this build added; None if none."""

    plan: bytes
    timing: bytes | None


def build_plan(
    trt: Any,
    content: bytes,
    options: BuildOptions,
    spec: InputSpec,
    progress: Progress,
    timing: bytes | None = None,
) -> Built:
    """Build a plan on the current GPU.

    Raises EngineError if TensorRT does not take the graph, BackendError if it cannot build it.
    After Ctrl-C or SIGTERM the build ends at its next step with a KeyboardInterrupt.

    Parameters
    ----------
    trt
        The module ``tensorrt``, or one of the same API.
    content
        A serialized ONNX model, in the precision that the plan is to have.
    timing
        What an earlier build left, ``b""`` for a new timing cache, None for none.
    """
    log = log_of(trt)
    # TensorRT's bindings swallow what a signal raises while they work: so it is only noted.
    with stopping("the step of the build") as stop:
        try:
            builder = trt.Builder(log)
        except TypeError as error:
            # What the bindings say when the library gives none.
            raise _failed(trt, log) from error
        network = builder.create_network(0)
        # It owns some of the network's weights until the plan is built.
        parser = parse(trt, network, log, content, spec)
        config = builder.create_builder_config()
        configure(trt, config, options)
        _add_profile(trt, builder, config, options, spec)
        if timing is not None:
            _use_timing(config, timing)
        config.progress_monitor = monitor = monitor_of(trt, progress, stop)
        plan = None if stop.requested else builder.build_serialized_network(network, config)
        del parser, monitor
    if stop.requested:
        raise KeyboardInterrupt
    if plan is None:
        raise _failed(trt, log)
    left = bytes(config.get_timing_cache().serialize()) if timing is not None else None
    return Built(bytes(plan), left)


def parse(trt: Any, network: Any, log: Any, content: bytes, spec: InputSpec) -> Any:
    """Read a serialized ONNX model into a new, strongly typed network; returns the parser.

    Raises EngineError with all that the parser refuses, or if inputs or outputs are others.
    """
    parser = trt.OnnxParser(network, log)
    if not parser.parse(content):
        errors = [_complaint(parser.get_error(k)) for k in range(parser.num_errors)]
        raise EngineError(
            f"TensorRT {trt.__version__} does not take this graph:\n  {_reasons(errors, log)}\n"
            "Next: hambatch export, which writes graphs that it takes"
        )
    _check(trt, network, spec)
    return parser


def _complaint(error: Any) -> str:
    """Name the node and what is wrong with it."""
    code = str(error.code()).rpartition(".")[2]
    node = f"{error.node_operator()} node {error.node_name()!r} (number {error.node()})"
    return f"{node}: {error.desc()} [{code}]"


def _check(trt: Any, network: Any, spec: InputSpec) -> None:
    """Compare inputs and outputs with what every engine has; the batch is to be dynamic."""
    found = _signatures(network.get_input(k) for k in range(network.num_inputs))
    wanted = {spec.name: f"{trt.DataType.UINT8} [?,{spec.height},{spec.width},3]"}
    if found != wanted:
        raise _other("input", found, wanted, " The batch dimension has to be dynamic.")
    found = _signatures(network.get_output(k) for k in range(network.num_outputs))
    kind = str(trt.DataType.FLOAT)
    if set(found) != OUTPUTS or any(kind not in one for one in found.values()):
        raise _other("outputs", found, dict.fromkeys(sorted(OUTPUTS), kind), "")


def _signatures(tensors: Any) -> dict[str, str]:
    return {tensor.name: f"{tensor.dtype} [{_sides(tensor.shape)}]" for tensor in tensors}


def _sides(shape: Any) -> str:
    return ",".join("?" if side < 0 else str(side) for side in shape)


def _other(what: str, found: dict[str, str], wanted: dict[str, str], note: str) -> EngineError:
    return EngineError(
        f"no plan can be built for the graph's {what}: found {found}, wanted {wanted}.{note}\n"
        "Next: hambatch export, which writes such graphs"
    )


def configure(trt: Any, config: Any, options: BuildOptions) -> None:
    """Set all that is not of the graph."""
    # FP32 means FP32: TensorRT would multiply with 10 bits of mantissa.
    config.clear_flag(trt.BuilderFlag.TF32)
    # Each image of a batch is computed by the same operations, whatever its slot.
    config.set_flag(trt.BuilderFlag.DISTRIBUTIVE_INDEPENDENCE)
    workspace = options.workspace_megabytes * 10**6
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)


def _add_profile(
    trt: Any, builder: Any, config: Any, options: BuildOptions, spec: InputSpec
) -> None:
    profile = builder.create_optimization_profile()
    sides = [trt.Dims([batch, spec.height, spec.width, 3]) for batch in options.profile]
    profile.set_shape(spec.name, *sides)
    if config.add_optimization_profile(profile) < 0:
        raise BackendError(
            f"TensorRT {trt.__version__} refuses batches of {options.profile}.\n"
            "Next: hambatch build --max-batch 32"
        )


def _use_timing(config: Any, timing: bytes) -> None:
    """Start from what was timed before; what does not fit is timed anew."""
    cache = config.create_timing_cache(timing)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)


def monitor_of(trt: Any, progress: Progress, stop: Stop) -> Any:
    """Make TensorRT's progress monitor, which ends the build at its next step after ``stop``.

    An exception may not pass through the builder: the bindings swallow it. So a second Ctrl-C,
    which is raised, is noted like the first.
    """

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._show(progress.start, phase_name, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._show(progress.step, phase_name)
            return not stop.requested

        def phase_finish(self, phase_name: str) -> None:
            self._show(progress.finish, phase_name)

        def _show(self, show: Callable[..., None], *arguments: object) -> None:
            try:
                show(*arguments)
            except KeyboardInterrupt:
                stop.requested = True

    return Monitor()


def _failed(trt: Any, log: Any) -> BackendError:
    return BackendError(
        f"TensorRT {trt.__version__} cannot build the plan:\n  {_reasons([], log)}\n"
        "Next: free memory on the GPU (nvidia-smi lists who holds it), or build for less: "
        "hambatch build --max-batch 8"
    )


def _reasons(errors: list[str], log: Any) -> str:
    return "\n  ".join(errors or log.errors or ["it gives no reason"])
