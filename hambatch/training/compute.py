"""The device that training computes on: chosen, and set up before anything runs on it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hambatch.backends.keras_network import keras_for
from hambatch.errors import BackendError, InputError
from hambatch.system.cpu import instruction_set, multiplies_bfloat16
from hambatch.system.packages import require
from hambatch.training.options import TrainOptions

PURPOSE = "hambatch train"

log = logging.getLogger(__name__)


def tensorflow() -> Any:
    """Import TensorFlow, or name the extra that brings it."""
    return require("tensorflow", extra="train", purpose=PURPOSE)


def set_up(options: TrainOptions) -> TrainOptions:
    """Choose the device, log which and why, and prepare TensorFlow for it.

    Must come first of all TensorFlow. Returns the options with ``device`` ``"cpu"`` or ``"gpu"``:
    GPU 0 of those that CUDA shows. Raises BackendError if TensorFlow does not see the GPU that
    the options name, InputError for mixed precision that the recipe does not have on the device.
    """
    keras_for(PURPOSE)
    tf = tensorflow()
    gpus = tf.config.list_physical_devices("GPU")
    name = ""
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        name = str(details.get("device_name", gpus[0].name))
    device, why = choose_device(options.device, name, _why_no_gpu(tf))
    log.info("device: %s (%s)", device, why)
    if options.mixed_precision:
        refuse_mixed_precision(device, options.recipe, why)
    if device == "gpu":
        use_gpu(tf.config, gpus[0])
    elif gpus:
        tf.config.set_visible_devices([], "GPU")
    return replace(options, device=device)


def choose_device(option: str, gpu: str, why_none: tuple[str, str]) -> tuple[str, str]:
    """Resolve ``auto``; give the device and the reason, or raise BackendError.

    ``gpu`` is the name of the one that TensorFlow sees, empty if none; ``why_none`` why it may
    see none, and the command that may help.
    """
    why, following = why_none
    if option == "cpu":
        return "cpu", "--device cpu"
    if gpu:
        return "gpu", gpu
    if option == "auto":
        return "cpu", f"TensorFlow sees no GPU: {why}"
    raise BackendError(
        f"TensorFlow sees no GPU: {why}; wanted one for --device gpu.\n"
        f"Next: {following}, or take --device cpu"
    )


def _why_no_gpu(tf: Any) -> tuple[str, str]:
    if tf.test.is_built_with_cuda():
        return "no driver or no CUDA library that it can use", "nvidia-smi"
    return (
        f"TensorFlow {tf.__version__} is built without CUDA",
        f"pip install 'tensorflow[and-cuda]=={tf.__version__}'",
    )


def use_gpu(config: Any, gpu: Any) -> None:
    """Prepare ``tf.config`` for one GPU.

    Memory is taken as it is needed: TensorFlow would take all of it, and DALI decodes on
    the same GPU. FP32 means FP32: TensorFlow would multiply in TF32 from Ampere on.
    Operations are deterministic: a resumed run gives the weights of an uninterrupted one.
    """
    config.set_visible_devices([gpu], "GPU")
    config.experimental.set_memory_growth(gpu, True)
    config.experimental.enable_tensor_float_32_execution(False)
    config.experimental.enable_op_determinism()


def decoding_gpu(options: TrainOptions) -> int | None:
    """Number of the GPU that decodes, None for the CPU, of options that :func:`set_up` gave."""
    return 0 if options.device == "gpu" else None


@contextmanager
def in_bfloat16(wanted: bool) -> Iterator[None]:
    """Let what TensorFlow compiles and calls within multiply in bfloat16, on the CPU.

    Convolutions and matrix products read bfloat16 and sum in float32, and what lies between
    them is bfloat16 where that is safe; weights, their gradients' sums and the loss stay float32
    [1]_. bfloat16 has the range of float32, so the loss needs no scaling.

    References
    ----------
    .. [1] TensorFlow's graph optimizer ``auto_mixed_precision_onednn_bfloat16``
    """
    if not wanted:
        yield
        return
    optimizer, name = tensorflow().config.optimizer, "auto_mixed_precision_onednn_bfloat16"
    optimizer.set_experimental_options({name: True})
    try:
        yield
    finally:
        optimizer.set_experimental_options({name: False})


def refuse_mixed_precision(
    device: str, recipe: str, why: str = "", cpuinfo: Path = Path("/proc/cpuinfo")
) -> None:
    """Raise InputError but for the published recipe on a GPU (float16) and fine-tuning on a CPU.

    Fine-tuning multiplies in bfloat16, for which the CPU needs instructions.
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
