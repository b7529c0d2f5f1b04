"""What training computes on: the device is chosen, and set up before anything runs on it."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hambatch.backends.keras_network import keras_for
from hambatch.errors import BackendError, InputError
from hambatch.system.cpu import instruction_set, multiplies_bfloat16
from hambatch.system.packages import require
from hambatch.training.options import TrainOptions

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Compute:
    """How features are computed; any other value than these gives other last bits.

    ``device`` is ``"cpu"`` or ``"gpu"``: GPU 0 of those that CUDA shows.
    """

    device: str = "cpu"
    xla: bool = False
    mixed_precision: bool = False

    @property
    def gpu(self) -> int | None:
        """Number of the GPU that decodes, None for the CPU."""
        return 0 if self.device == "gpu" else None

    @property
    def key(self) -> dict[str, Any]:
        """What the features of another one must not be taken for; empty for the default."""
        chosen, default = vars(self), vars(Compute())
        return {name: value for name, value in chosen.items() if value != default[name]}


def compute_of(options: TrainOptions) -> Compute:
    """Take it out of options that :func:`set_up` has seen."""
    return Compute(options.device, options.xla, options.mixed_precision)


def set_up(options: TrainOptions) -> TrainOptions:
    """Choose the device, say which and why, and prepare TensorFlow for it.

    Must come before TensorFlow computes anything.

    Returns
    -------
    TrainOptions
        With ``device`` ``"cpu"`` or ``"gpu"``.

    Raises
    ------
    BackendError
        If a GPU is asked for and TensorFlow sees none.
    InputError
        If mixed precision is asked for where the recipe has none.
    """
    keras_for("hambatch train")
    tf = require("tensorflow", extra="train", purpose="hambatch train")
    gpus = tf.config.list_physical_devices("GPU")
    device, why = choose(options.device, _seen(tf, gpus), _missing(tf))
    log.info("device: %s (%s)", device, why)
    if options.mixed_precision:
        refuse_mixed_precision(device, options.recipe, why)
    if device == "gpu":
        use_gpu(tf.config, gpus[0])
    elif gpus:
        tf.config.set_visible_devices([], "GPU")
    return replace(options, device=device)


@contextmanager
def in_bfloat16(wanted: bool) -> Iterator[None]:
    """Let what TensorFlow compiles and calls within multiply in bfloat16, on the CPU.

    Convolutions and matrix products read bfloat16 and sum in float32, and what lies between
    them is bfloat16 where that is safe; weights, their gradients' sums and the loss stay float32
    [1]_. bfloat16 has the range of float32, so no loss need be scaled.

    References
    ----------
    .. [1] TensorFlow's graph optimizer ``auto_mixed_precision_onednn_bfloat16``
    """
    if not wanted:
        yield
        return
    tf = require("tensorflow", extra="train", purpose="hambatch train")
    name = "auto_mixed_precision_onednn_bfloat16"
    tf.config.optimizer.set_experimental_options({name: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({name: False})


def choose(asked: str, seen: str, missing: tuple[str, str]) -> tuple[str, str]:
    """Settle ``auto``; give the device and the reason.

    Parameters
    ----------
    seen
        The GPU that TensorFlow sees, by name; empty if none.
    missing
        Why it may see none, and what to type.

    Raises
    ------
    BackendError
        If a GPU is asked for and there is none.
    """
    why, what = missing
    if asked == "cpu":
        return "cpu", "as asked"
    if seen:
        return "gpu", seen
    if asked == "auto":
        return "cpu", f"TensorFlow sees no GPU: {why}"
    raise BackendError(
        f"TensorFlow sees no GPU: {why}; wanted one for --device gpu.\n"
        f"Next: {what}, or take --device cpu"
    )


def use_gpu(config: Any, gpu: Any) -> None:
    """Prepare ``tf.config`` for one GPU.

    Memory is taken as it is needed: TensorFlow would take all of it, and DALI decodes on
    the same GPU. FP32 means FP32: TensorFlow would multiply in TF32 from Ampere on.
    Operations are the deterministic ones, so that a run that goes on after an interruption
    can give the weights of one that was never interrupted.
    """
    config.set_visible_devices([gpu], "GPU")
    config.experimental.set_memory_growth(gpu, True)
    config.experimental.enable_tensor_float_32_execution(False)
    config.experimental.enable_op_determinism()


def _seen(tf: Any, gpus: Sequence[Any]) -> str:
    if not gpus:
        return ""
    details = tf.config.experimental.get_device_details(gpus[0])
    return str(details.get("device_name", gpus[0].name))


def _missing(tf: Any) -> tuple[str, str]:
    if tf.test.is_built_with_cuda():
        return "no driver or no CUDA library that it can use", "nvidia-smi"
    return (
        f"TensorFlow {tf.__version__} is built without CUDA",
        f"pip install 'tensorflow[and-cuda]=={tf.__version__}'",
    )


def refuse_mixed_precision(
    device: str, recipe: str, why: str = "", cpuinfo: Path = Path("/proc/cpuinfo")
) -> None:
    """Let the published recipe have float16 on a GPU, fine-tuning bfloat16 on a CPU.

    Raises
    ------
    InputError
        For everything else.
    """
    if recipe == "published" and device == "cpu":
        raise InputError(
            f"--mixed-precision of --recipe published is for GPUs, found the CPU ({why}): it is "
            "no faster in float16, and less exact.\n"
            "Next: hambatch train without --mixed-precision, or with --device gpu"
        )
    if recipe == "finetune" and device == "gpu":
        raise InputError(
            "--mixed-precision of --recipe finetune is for the CPU, found a GPU: in float16 the "
            "loss would have to be scaled, and is not.\n"
            "Next: hambatch train without --mixed-precision, or with --device cpu"
        )
    if recipe == "finetune" and not multiplies_bfloat16(cpuinfo):
        raise InputError(
            "--mixed-precision is for processors that multiply bfloat16 (avx512_bf16, amx_bf16), "
            f"found {instruction_set(cpuinfo)}.\n"
            "Next: hambatch train without --mixed-precision"
        )
