"""Standard output and error that are closed, full, or no longer read."""

import subprocess
import sys
from pathlib import Path

import pytest

from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from tests.conftest import jpeg_bytes
from tests.waiting import HANGS_S

BROKEN = (["--help"], ["score", "--help"], ["engines", "list"], ["samples", "more", "--count", "1"])
CLOSED = ("2>&-", ">&- 2>&- <&-", "<&- >/dev/full", ">&- 2>/dev/full")
"""Each stream closed with the others open or full, all closed, and each output on a full disk."""


def shell(line: str, cwd: Path, unbuffered: bool = False) -> subprocess.CompletedProcess[str]:
    """Run hambatch with arguments and redirections as a shell reads them."""
    python = f"{sys.executable} {'-u' if unbuffered else ''}"
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {python} -m hambatch {line}"],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        timeout=HANGS_S,
    )


@pytest.mark.parametrize("unbuffered", [True, False])
@pytest.mark.parametrize("command", BROKEN, ids=" ".join)
def test_a_full_disk_under_stdout_is_one_message(
    tmp_path: Path, command: list[str], unbuffered: bool
) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    done = shell(" ".join(command) + " >/dev/full", tmp_path, unbuffered)
    assert done.returncode == 1
    assert done.stderr == (
        "Error: standard output cannot be written (No space left on device), "
        "wanted room for all of it.\n"
        "Next: the same command with > FILE, a file where there is room\n"
    )


def test_a_reader_that_leaves_is_owed_no_message(tmp_path: Path) -> None:
    done = shell("score --help | true", tmp_path)
    assert done.stderr == ""
    assert done.returncode in (0, 1)  # 0 where all was written before it left


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, tiny_engine: Path) -> Path:
    """The table of two images, which lie beside it."""
    place = tmp_path_factory.mktemp("streams")
    (place / "some").mkdir()
    for seed in range(2):
        (place / "some" / f"{seed}.jpg").write_bytes(jpeg_bytes(seed))
    out = place / "expected.csv"
    score([place / "some"], out, "auto", ScoreOptions(engine=str(tiny_engine)))
    return out


@pytest.mark.parametrize("streams", CLOSED)
def test_a_run_needs_no_standard_stream(
    tmp_path: Path, tiny_engine: Path, expected: Path, streams: str
) -> None:
    images = expected.with_name("some")
    line = f"score {images} --engine {tiny_engine} --out preds.csv {streams}"
    done = shell(line, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "preds.csv").read_bytes() == expected.read_bytes()


def test_the_workers_of_a_run_have_standard_streams_too(tmp_path: Path) -> None:
    child = "import os; [os.fstat(number) for number in range(3)]"
    code = (
        "import subprocess, sys\nfrom hambatch.cli.standard_streams import watch_streams\n"
        f"with watch_streams():\n    subprocess.run([sys.executable, '-c', {child!r}], check=True)"
    )
    (tmp_path / "parent.py").write_text(code)
    closed = f"{sys.executable} parent.py <&- >&- 2>&-"
    done = subprocess.run(["bash", "-c", closed], cwd=tmp_path, check=False, timeout=HANGS_S)
    assert done.returncode == 0
