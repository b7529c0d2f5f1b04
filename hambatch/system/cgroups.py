"""What the control groups of this process grant it: read where Linux says so.

A container, a batch system or ``systemd-run -p CPUQuota=50%`` limits a process by its control
group, and by every group above that one. Files of version 2 lie in one tree, those of version 1
in a tree for each controller [1]_.

References
----------
.. [1] https://docs.kernel.org/admin-guide/cgroup-v2.html, cgroup-v1/cgroups.html and
   scheduler/sched-bwc.html of the same site; proc_pid_mountinfo(5) for the fields of a mount.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROCESS = Path("/proc/self")


def cpu_quota(process: Path = PROCESS) -> float | None:
    """Give the cores that the groups of this process grant, such as 0.5; None: no limit."""
    granted = []
    for group in groups_of("cpu", process):
        with suppress(OSError, ValueError):
            granted.append(_cores(group))
    return min(filter(None, granted), default=None)


def groups_of(controller: str, process: Path = PROCESS) -> Iterator[Path]:
    """Yield the folders of this process's group and of those above it, as far as they are seen."""
    for mount, root, path in _trees(controller, process):
        inside = os.path.relpath(path, root)
        # A container may see a part of the tree, and be named by a path outside of it.
        is_outside = inside.startswith("..") or path.startswith("/..")
        parts = [] if is_outside else [part for part in inside.split("/") if part]
        folder = mount.joinpath(*parts)
        yield from (place for place in (folder, *folder.parents) if place.is_relative_to(mount))


def _cores(group: Path) -> float | None:
    """Read a group's limit: CPU time for each period, of all cores together."""
    if (limit := group / "cpu.max").exists():
        quota, period = limit.read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    quota = (group / "cpu.cfs_quota_us").read_text()
    period = (group / "cpu.cfs_period_us").read_text()
    return int(quota) / int(period) if int(quota) > 0 else None


def _trees(controller: str, process: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield where a tree is mounted, which of its groups that is, and this process's group."""
    groups = _groups_by_controller(process)
    for line in _lines(process / "mountinfo"):
        mounted, _, of_system = line.partition(" - ")
        kind, _, options = of_system.split(" ", 2)
        named = "" if kind == "cgroup2" else controller
        is_tree = kind == "cgroup2" or (kind == "cgroup" and controller in options.split(","))
        if is_tree and named in groups:
            root, mount = map(_unescaped, mounted.split(" ")[3:5])
            yield Path(mount), root, groups[named]


def _groups_by_controller(process: Path) -> dict[str, str]:
    """Read this process's group by controller; that of version 2 has an empty name."""
    found: dict[str, str] = {}
    for line in _lines(process / "cgroup"):
        _, controllers, path = line.split(":", 2)
        found |= dict.fromkeys(controllers.split(","), path)
    return found


def _lines(path: Path) -> list[str]:
    try:
        return os.fsdecode(path.read_bytes()).splitlines()
    except OSError:  # no Linux, or no /proc
        return []


def _unescaped(name: str) -> str:
    """Read a mount's name, in which a space is an octal number behind a backslash."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), name)
