"""The limit of CPU time is found where Linux says it, in every arrangement of control groups."""

from pathlib import Path

import pytest

from hambatch.system.cgroups import cpu_quota

V1 = "31 24 0:28 {root} {mount} rw,nosuid - cgroup cgroup rw,cpu,cpuacct\n"
V2 = "31 24 0:28 {root} {mount} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"


def made(place: Path, mount: str, group: str, root: str, limits: dict[str, str]) -> Path:
    """Write a tree of groups, and what a process in it finds in /proc."""
    tree = place / "tree with space"
    for name, limit in limits.items():
        folder = tree / name
        folder.mkdir(parents=True, exist_ok=True)
        if mount == V2:
            (folder / "cpu.max").write_text(limit + "\n")
        else:
            for kind, number in zip(("quota", "period"), limit.split(), strict=True):
                (folder / f"cpu.cfs_{kind}_us").write_text(number + "\n")
    escaped = str(tree).replace(" ", "\\040")
    (place / "mountinfo").write_text(mount.format(root=root, mount=escaped))
    (place / "cgroup").write_text(group)
    return place


@pytest.mark.parametrize(
    ("mount", "group", "root", "limits", "wanted"),
    [
        (V2, "0::/a/b\n", "/", {"a": "50000 100000", "a/b": "max 100000"}, 0.5),
        (V2, "0::/a/b\n", "/", {"a": "400000 100000", "a/b": "150000 100000"}, 1.5),
        (V2, "0::/\n", "/", {"": "25000 100000"}, 0.25),
        (V2, "0::/a\n", "/", {"a": "max 100000"}, None),
        (V1, "3:cpu,cpuacct:/a/b\n0::/\n", "/", {"a": "50000 100000", "a/b": "-1 100000"}, 0.5),
        # Docker with the host's names: only the container's own group is mounted.
        (V1, "3:cpu,cpuacct:/docker/12\n", "/docker/12", {"": "200000 100000"}, 2.0),
        # In a group outside of what is seen.
        (V2, "0::/../other\n", "/", {"": "300000 100000", "other": "1000 100000"}, 3.0),
    ],
)
def test_the_least_of_all_groups_above_counts(
    mount: str, group: str, root: str, limits: dict[str, str], wanted: float | None, tmp_path: Path
) -> None:
    assert cpu_quota(made(tmp_path, mount, group, root, limits)) == wanted


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
