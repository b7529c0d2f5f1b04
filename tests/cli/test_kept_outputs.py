"""What lies at an output's path is replaced only by a run that was allowed to replace it."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from tests.conftest import jpeg_bytes

OLD, OTHER = b"of last night\n", b"of somebody else\n"

FAULTS = {
    # All rows are in the journal, and the table is about to appear.
    "killed": "if event == 'os.rename' and str(arguments[1]).endswith('preds.csv'):\n"
    "        os.kill(os.getpid(), signal.SIGKILL)",
    # The run has begun, and looked at what lies at its output's path.
    "written": "if event == 'open' and str(arguments[0]).endswith('rows'):\n"
    "        done.append(event)\n"
    "        os.rename(sys.argv[-1] + '.other', sys.argv[-1])",
}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    for k in range(3):
        (folder / f"{k}.jpg").write_bytes(jpeg_bytes(k))
    return folder


def run(*arguments: Path | str) -> tuple[int, str]:
    """Give the exit code, and what a user reads, whichever part of the command line refuses."""
    found = CliRunner().invoke(hambatch, list(map(str, arguments)))
    return found.exit_code, f"{found.output}{found.exception}"


def run_with(fault: str, *arguments: Path | str) -> tuple[int, str]:
    """Run a command whose parent process meets a fault at a known step."""
    script = (
        "import os, signal, sys\nparent, done = os.getpid(), []\n"
        "def meet(event, arguments):\n"
        f"    if done or os.getpid() != parent: return\n    {FAULTS[fault]}\n"
        "sys.addaudithook(meet)\nfrom hambatch.cli import hambatch\nhambatch()\n"
    )
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        said = process.stderr.read()
    return process.returncode, said


@pytest.fixture(scope="module")
def killed(source: Path, tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where a run with --overwrite was killed before its table appeared."""
    folder = tmp_path_factory.mktemp("killed")
    (folder / "preds.csv").write_bytes(OLD)
    command = ["score", source, "--engine", tiny_engine, "--device", "cpu", "--overwrite", "--out"]
    code, said = run_with("killed", *command, folder / "preds.csv")
    assert code == -signal.SIGKILL, said
    assert (folder / "preds.csv.journal" / "rows").exists()
    return folder


@pytest.fixture
def out(killed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(killed, tmp_path / "copy") / "preds.csv"


def test_a_journal_beside_a_table_does_not_let_it_be_overwritten(
    out: Path, source: Path, tiny_engine: Path
) -> None:
    command = ["score", source, "--engine", tiny_engine, "--device", "cpu", "--out", out]
    out.write_bytes(OTHER)
    for more in ((), ("--retry-failed",)):
        code, said = run(*command, *more)
        assert code == 1
        assert "exists already" in said
        assert f"Next: mv {out} {out}.old" in said
        assert out.read_bytes() == OTHER
    out.unlink()
    record = out.with_name("preds.csv.run.json")
    record.write_bytes(OTHER)
    code, said = run(*command)
    assert (code, record.read_bytes()) == (1, OTHER), said
    record.unlink()
    # What --overwrite was given for is replaced by the rest of the same run.
    out.write_bytes(OLD)
    code, said = run(*command)
    assert code == 0, said
    assert out.read_bytes().count(b"\n") == 4


def test_a_table_that_appears_during_a_run_is_kept(
    source: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "preds.csv"
    (tmp_path / "preds.csv.other").write_bytes(OTHER)
    command = ["score", source, "--engine", tiny_engine, "--device", "cpu", "--out", out]
    code, said = run_with("written", *command)
    assert not (tmp_path / "preds.csv.other").exists()
    assert (code, out.read_bytes()) == (1, OTHER), said
    assert "3 of 3 images are done and kept" in said
