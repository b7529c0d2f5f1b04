"""What the CUDA driver means when it refuses to start, and what helps.

Numbers and meanings: ``CUresult`` in the CUDA driver API reference.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

NO_DEVICE = 100
LOOK = "nvidia-smi"


class Refusal(NamedTuple):
    """What it means, in a few words, and what to type."""

    meaning: str
    next: str


KNOWN = {
    2: Refusal("out of memory", LOOK),
    34: Refusal(
        "the stub of a CUDA toolkit was loaded in place of the driver",
        "take the toolkit's stubs out of LD_LIBRARY_PATH",
    ),
    35: Refusal("the driver is too old", "install a newer NVIDIA driver, then nvidia-smi"),
    36: Refusal("the driver is too old", "install a newer NVIDIA driver, then nvidia-smi"),
    46: Refusal(
        "the GPU is not available: another process has it for itself, or it is prohibited",
        "nvidia-smi -q -d COMPUTE",
    ),
    304: Refusal(
        "the operating system refused: the device files may be missing or not permitted",
        "ls -l /dev/nvidia*",
    ),
    800: Refusal("not permitted", "ls -l /dev/nvidia*"),
    802: Refusal(
        "the system is not ready: a service that the GPUs need is not running",
        "sudo systemctl start nvidia-fabricmanager",
    ),
    803: Refusal(
        "the driver in the kernel and its library are of different versions",
        "restart the machine: the driver was updated while it ran",
    ),
    804: Refusal(
        "a forward compatibility library is in place, which this GPU does not support",
        "take the folder of cuda-compat out of LD_LIBRARY_PATH",
    ),
    805: Refusal("the MPS daemon does not answer", "nvidia-cuda-mps-control -d"),
    999: Refusal(
        "unknown error, seen where the module nvidia_uvm is not loaded and after a suspend",
        "sudo modprobe nvidia_uvm, or restart the machine",
    ),
}


def explain(error: int, environment: Mapping[str, str] = os.environ) -> Refusal:
    """Say what an error of ``cuInit`` means; 100 also stands for a count of none."""
    if error == NO_DEVICE:
        return _no_device(environment.get("CUDA_VISIBLE_DEVICES"))
    known = KNOWN.get(error, Refusal("see CUresult in the CUDA driver API", LOOK))
    return Refusal(f"cuInit gave error {error}: {known.meaning}", known.next)


def _no_device(visible: str | None) -> Refusal:
    if visible is not None:
        return Refusal(
            f"no GPU is visible: CUDA_VISIBLE_DEVICES is {visible!r}", "unset CUDA_VISIBLE_DEVICES"
        )
    return Refusal(
        "the driver finds no GPU", "nvidia-smi -L; a container has to be started with --gpus all"
    )
