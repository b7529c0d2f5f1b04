"""What training computes on: the device is chosen, and set up before anything runs on it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hambatch.config import TrainOptions
from hambatch.errors import BackendError, InputError
from hambatch.require import require
from hambatch.training.network import keras_for

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
    def decoder(self) -> str:
        """DALI's name of the device that decodes."""
        return "mixed" if self.device == "gpu" else "cpu"

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
        If mixed precision is asked for on the CPU.
    """
    keras_for("hambatch train")
    tf = require("tensorflow", extra="train", purpose="hambatch train")
    gpus = tf.config.list_physical_devices("GPU")
    device, why = choose(options.device, _seen(tf, gpus), _missing(tf))
    log.info("device: %s (%s)", device, why)
    if device == "gpu":
        use_gpu(tf.config, gpus[0])
    elif options.mixed_precision:
        raise _mixed_precision_on_cpu(why)
    elif gpus:
        tf.config.set_visible_devices([], "GPU")
    return replace(options, device=device)


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


def _mixed_precision_on_cpu(why: str) -> InputError:
    return InputError(
        f"--mixed-precision is for GPUs, found the CPU ({why}): it is no faster in float16, "
        "and less exact.\n"
        "Next: hambatch train without --mixed-precision, or with --device gpu"
    )
