"""The GPU that is measured: one, found before anything is measured, and named in the result."""

from collections.abc import Iterable, Mapping
from typing import Any

from hambatch.engines.loading import Engine
from hambatch.errors import InputError
from hambatch.gpu.choosing import usable_gpu
from hambatch.gpu.probe import Gpu
from hambatch.placement import numbers_in, place

Plans = Iterable[tuple[str, int]]
"""Precision and request size of each."""


def measured_gpu(device: str, backend: str) -> Gpu | None:
    """Settle which GPU is measured; None: the CPU is.

    Raises
    ------
    InputError
        If there is more than one, or the backend does not compute there.
    BackendError
        If it cannot be used.
    """
    refuse_several(device)
    return next(iter(place(device, backend).gpus), None)


def refuse_several(device: str) -> None:
    """Raise InputError if more than one GPU is asked for."""
    numbers = numbers_in(device)
    if len(numbers) > 1:
        raise InputError(
            f"--device is {device}, wanted one: each stage is measured on one GPU.\n"
            f"Next: --device {numbers[0]}"
        )


def gpu_facts(ordinal: int, engine: Engine, plans: Plans = ()) -> Mapping[str, Any]:
    """Name a GPU and its driver, and the sha256 of each plan that was run there.

    Two plans built of one graph may run at other speeds: kernels are chosen by timing them.
    """
    from hambatch.plans import kept_plan_for

    gpu, probe = usable_gpu(ordinal)
    facts: dict[str, Any] = {"gpu": gpu.name, "gpu_number": ordinal, "driver": probe.driver}
    hashes = {
        f"{precision}, batch {size}": kept_plan_for(engine, precision, size, ordinal).record.sha256
        for precision, size in plans
    }
    return facts | ({"plan_sha256": hashes} if hashes else {})
