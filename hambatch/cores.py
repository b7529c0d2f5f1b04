"""How many cores this process may use."""

import os


def available_cores() -> int:
    """Count the cores of the affinity mask, which containers and taskset narrow."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
