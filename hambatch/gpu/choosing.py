"""One GPU of those that are there, by its number."""

from hambatch.errors import BackendError
from hambatch.gpu.probe import Gpu, Probe, probe_gpus


def usable_gpu(ordinal: int) -> tuple[Gpu, Probe]:
    """Ask the driver for the GPU of that number; see :func:`chosen_gpu`."""
    probe = probe_gpus()
    return chosen_gpu(probe, ordinal), probe


def chosen_gpu(probe: Probe, ordinal: int) -> Gpu:
    """Find the GPU of that number, before anything is created on it.

    Without a usable GPU TensorRT takes the process with it.

    Raises
    ------
    BackendError
        If there is none, or none can be used.
    """
    if not probe.usable:
        raise BackendError(f"TensorRT needs a GPU: {probe.problem}.\nNext: {probe.next}")
    for gpu in probe.gpus:
        if gpu.ordinal == ordinal:
            return gpu
    there = ", ".join(f"{gpu.ordinal} ({gpu.name})" for gpu in probe.gpus)
    raise BackendError(
        f"there is no GPU {ordinal} here; there is: {there}.\n"
        f"Next: the same command with --device {probe.gpus[0].ordinal}"
    )
