"""Which machine a result is from."""

import os
import platform
from pathlib import Path
from typing import Any

from hambatch.cores import available_cores
from hambatch.device import instruction_set


def machine_facts() -> dict[str, Any]:
    """Name what shapes a rate; nothing that names this machine among its like."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu_name(),
        "cores": available_cores(),
        "instruction_set": instruction_set(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Give the model name of the first core; where there is none, the architecture."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.machine() or "unknown"
