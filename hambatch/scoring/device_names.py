"""What ``--device`` takes: ``auto``, ``cpu``, ``gpu``, or the numbers of GPUs."""

from hambatch.errors import InputError
from hambatch.system.text import excerpt

AUTO, CPU, GPU = "auto", "cpu", "gpu"

DIGITS_AT_MOST = 6
"""Of a GPU's number: Python refuses to read numbers of thousands of digits."""


def numbers_in(device: str) -> tuple[int, ...]:
    """Read the numbers of GPUs; none for ``auto``, ``cpu`` and ``gpu``, else InputError."""
    if device in (AUTO, CPU, GPU):
        return ()
    words = device.split(",")
    numbers = tuple(
        int(word)
        for word in words
        if word.isascii() and word.isdigit() and len(word) <= DIGITS_AT_MOST
    )
    if len(numbers) == len(words) == len(set(numbers)):
        return numbers
    raise InputError(
        f"--device is {excerpt(device)!r}, wanted auto, cpu, gpu, or different numbers of GPUs.\n"
        "Next: --device 0, or --device 0,1"
    )
