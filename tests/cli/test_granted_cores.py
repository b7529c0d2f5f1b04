"""A run takes as many cores as its control groups grant, and says so."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import jpeg_bytes
from tests.waiting import remove_group

TREES = ("/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup")


@pytest.fixture
def half_a_core() -> Iterator[Path]:
    """A group below one that grants half a core."""
    for tree in map(Path, TREES):
        outer = tree / f"hambatch-test-{os.getpid()}"
        try:
            outer.mkdir()
        except OSError:
            continue
        inner = outer / "inner"
        try:
            if (outer / "cpu.cfs_quota_us").exists():
                (outer / "cpu.cfs_quota_us").write_text("50000")
            else:
                (outer / "cpu.max").write_text("50000 100000")
            inner.mkdir()
            yield inner
        except FileNotFoundError:
            continue
        finally:
            for folder in (inner, outer):
                if folder.exists():
                    remove_group(folder)
        return
    pytest.skip("no control group can be made here: that needs root, and a tree to write to")


def test_half_a_core_of_an_outer_group_is_one_stream(
    half_a_core: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core is one stream without a limit, too")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "one.jpg").write_bytes(jpeg_bytes(1))

    def enter() -> None:
        (half_a_core / "cgroup.procs").write_text("0")

    words = ["score", "images", "--out", "p.csv", "--engine", str(tiny_engine), "--device", "cpu"]
    line = [sys.executable, "-m", "hambatch", *words]
    done = subprocess.run(line, cwd=tmp_path, preexec_fn=enter, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    cores = len(os.sched_getaffinity(0))
    said = f" 1 stream, 1 decode thread on 1 core, cgroup grants 0.5 of {cores} ("
    assert said in done.stderr.splitlines()[0]
    assert '"cores": 1\n' in (tmp_path / "p.csv.run.json").read_text()
