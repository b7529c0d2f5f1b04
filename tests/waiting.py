"""Waiting for what happens, however long a busy machine takes; never for a number of seconds."""

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

HANGS_S = 600.0
"""Nothing that a test waits for takes so long, on any machine: what has not come never will."""


def wait_for(
    happened: Callable[[], T], what: str, process: "subprocess.Popen[Any] | None" = None
) -> T:
    """Wait until ``happened`` gives something true; gives that.

    Raises AssertionError if the process that it is to come from has ended without it.
    """
    until = time.monotonic() + HANGS_S
    while True:
        ended = process is not None and process.poll() is not None
        if found := happened():
            return found
        assert not ended, f"the process ended, and did not come to this: {what}"
        if time.monotonic() > until:
            if process is not None:
                process.kill()
            raise AssertionError(f"did not happen: {what}")
        time.sleep(0.005)


def lines_in(path: Any) -> int:
    """Count the whole lines of a file; 0 where it is not there."""
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def remove_group(group: Path) -> None:
    """Remove a control group; the kernel refuses that until the last of its processes is gone."""

    def removed() -> bool:
        with suppress(OSError):
            group.rmdir()
        return not group.exists()

    wait_for(removed, f"{group} is empty and can be removed")
