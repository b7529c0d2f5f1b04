"""The machine and the GPU that a result is from."""

import os
import platform
from collections.abc import Iterable, Mapping
from typing import Any

from hambatch import __version__
from hambatch.engines.loading import Engine
from hambatch.errors import InputError
from hambatch.scoring.device_names import numbers_in
from hambatch.scoring.plan import place
from hambatch.system.cpu import available_cores, cpu_name, instruction_set
from hambatch.system.gpus import Gpu, usable_gpu
from hambatch.system.packages import library_versions


def measured_with(engine: Engine, gpu: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Give the parts of a result that say what it was measured on, and with what.

    ``gpu`` comes from :func:`gpu_facts`, where one was measured.
    """
    return {
        "machine": machine_facts() | dict(gpu or {}),
        "versions": library_versions(),
        "hambatch": __version__,
        "engine": {
            "name": engine.manifest.name,
            "version": engine.manifest.version,
            "engine_json_sha256": engine.manifest_sha256,
        },
    }


def machine_facts() -> dict[str, Any]:
    """Name what shapes a rate; nothing that identifies this very machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_name(),
        "cores": available_cores(),
        "instruction_set": instruction_set(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def measured_gpu(device: str, backend: str) -> Gpu | None:
    """Resolve the GPU that is measured; None: the CPU is.

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
    """Raise InputError if ``--device`` names more than one GPU."""
    numbers = numbers_in(device)
    if len(numbers) > 1:
        raise InputError(
            f"--device is {device}, wanted one: each stage is measured on one GPU.\n"
            f"Next: --device {numbers[0]}"
        )


def gpu_facts(
    ordinal: int, engine: Engine, plans: Iterable[tuple[str, int]] = ()
) -> dict[str, Any]:
    """Name a GPU and its driver, and the sha256 of each plan that was run there.

    Two plans built of one graph may run at other speeds: kernels are chosen by timing them.

    Parameters
    ----------
    plans
        Precision and request size of each.
    """
    from hambatch.backends.tensorrt.plans.build import kept_plan_for

    gpu, probe = usable_gpu(ordinal)
    facts: dict[str, Any] = {"gpu": gpu.name, "gpu_number": ordinal, "driver": probe.driver}
    hashes = {
        f"{precision}, batch {size}": kept_plan_for(engine, precision, size, ordinal).record.sha256
        for precision, size in plans
    }
    return facts | ({"plan_sha256": hashes} if hashes else {})
