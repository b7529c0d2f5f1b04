"""Processes of multiprocessing that never search the current folder for modules."""

import multiprocessing
import subprocess
from multiprocessing import util
from multiprocessing.context import SpawnContext


def spawn_context() -> SpawnContext:
    """Give multiprocessing's spawn, which starts each process with ``-c``, and now with ``-P``.

    So starts the resource tracker, too. A process then takes over this one's search path.
    """
    # PYTHONSAFEPATH in the environment would do the same, but not under python -E.
    util._args_from_interpreter_flags = _flags_and_safe_path  # type: ignore[attr-defined]
    return multiprocessing.get_context("spawn")


def _flags_and_safe_path() -> list[str]:
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return flags if {"-I", "-P"} & set(flags) else [*flags, "-P"]
