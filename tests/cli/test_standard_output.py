"""`score --out -`: the whole table on standard output, or nothing of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from hambatch.sinks.formats import open_table, read_rows
from tests.cli.forks import Ended, run_all
from tests.conftest import jpeg_bytes
from tests.waiting import HANGS_S

IMAGES, NAME = 180, "a" * 200
"""A table of more bytes than a pipe holds."""

PUBLISHED = "event == 'os.rename' and str(of[1]).endswith('stdout.csv')"

SENT = "event == 'open' and str(of[0]).endswith('stdout.csv')"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of which one fails."""
    folder = tmp_path_factory.mktemp("source")
    content = jpeg_bytes(0, width=48, height=40)
    for k in range(IMAGES):
        (folder / f"{NAME}{k:03d}.jpg").write_bytes(content)
    (folder / "empty.jpg").touch()
    return folder


@pytest.fixture(scope="module")
def command(source: Path, tiny_engine: Path) -> list[str]:
    return ["score", str(source), "--engine", str(tiny_engine), "--device", "cpu", "--out"]


class Runs(NamedTuple):
    """Runs into a file and to standard output, without a journal that is kept and with one."""

    table: Path
    file: Ended
    lines: Ended
    kept: Ended


@pytest.fixture(scope="module")
def runs(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Runs:
    place = tmp_path_factory.mktemp("runs")
    (place / "kept").mkdir()
    how = (["p.csv"], ["-", "--format", "jsonl"], ["-", "--journal-dir", "kept"])
    return Runs(place / "p.csv", *run_all([(place, [*command, *words]) for words in how]))


def test_the_table_is_that_of_a_file_and_all_else_is_on_stderr(runs: Runs, tmp_path: Path) -> None:
    with open_table(tmp_path / "p.jsonl", "jsonl") as write:
        for row in read_rows(runs.table, "csv"):
            write(row)
    assert runs.lines.stdout == (tmp_path / "p.jsonl").read_text()
    assert runs.kept.stdout == runs.table.read_text()
    for found in (runs.lines, runs.kept):
        assert found.code == runs.file.code == 3, found.stderr
        said = f"standard output: {IMAGES + 1} images, {IMAGES} scored, 1 failed"
        assert said in found.stderr


def test_what_is_kept_is_said_and_lies_in_the_folder(runs: Runs) -> None:
    without = "--out - without --journal-dir: no record is kept, and a run that is stopped cannot"
    assert without in runs.lines.stderr
    assert "without --journal-dir" not in runs.kept.stderr
    assert f"record: {Path('kept', 'stdout.csv.run.json')}" in runs.kept.stderr
    assert os.listdir(runs.table.with_name("kept")) == ["stdout.csv.run.json"]


def run_with(
    condition: str, number: int, words: list[str], place: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command whose parent process gets a signal at a known step."""
    script = (
        "import os, signal, sys\nparent, done = os.getpid(), []\n"
        "def meet(event, of):\n"
        f"    if not done and os.getpid() == parent and {condition}:\n"
        f"        done.append(event)\n        os.kill(parent, {number})\n"
        "sys.addaudithook(meet)\nfrom hambatch.__main__ import main\nmain()\n"
    )
    (place / "tmp").mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=place,
        timeout=HANGS_S,
        env={**os.environ, "TMPDIR": str(place / "tmp")},
    )


def shell(line: str, place: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run lines of bash in which ``"$@"`` is a command of hambatch."""
    command = ["bash", "-c", line, "-", sys.executable, "-m", "hambatch", *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=place, timeout=HANGS_S
    )


def test_a_run_that_was_killed_resumes_and_writes_the_same_bytes(
    command: list[str], runs: Runs, tmp_path: Path
) -> None:
    (tmp_path / "kept").mkdir()
    words = [*command, "-", "--journal-dir", "kept"]
    killed = run_with(SENT, signal.SIGKILL, words, tmp_path)
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, ""), killed.stderr
    assert (tmp_path / "kept" / "stdout.csv.journal" / "rows").exists()
    other = run(*words[:-1], tmp_path / "kept", "--max-megapixels", 9)
    assert "an unfinished run of other settings has this --journal-dir" in str(other.exception)
    assert "or name another --journal-dir" in str(other.exception)
    line = '"$@" >/dev/full; echo $?; "$@" | cat; echo "${PIPESTATUS[0]}"'
    done = shell(line, tmp_path, words)
    assert done.stdout == f"1\n{runs.table.read_text()}3\n", done.stderr
    assert "standard output cannot be written (No space left on device), wanted room" in done.stderr
    assert f"{IMAGES + 1} of {IMAGES + 1} images are done and kept: the same" in done.stderr
    assert f"{IMAGES + 1} were done before" in done.stderr
    assert os.listdir(tmp_path / "kept") == ["stdout.csv.run.json"]


@pytest.mark.parametrize(
    "step",
    [
        "event == 'os.remove' and str(of[0]).endswith('stdout.csv')",
        "event == 'os.rmdir' and str(of[0]).endswith('stdout.csv.journal')",
    ],
)
def test_a_kill_after_the_table_was_written_out_does_not_stop_the_next_run(
    command: list[str], runs: Runs, tmp_path: Path, step: str
) -> None:
    (tmp_path / "kept").mkdir()
    words = [*command, "-", "--journal-dir", "kept"]
    killed = run_with(step, signal.SIGKILL, words, tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert killed.stdout == runs.table.read_text()
    (again,) = run_all([(tmp_path, words)])
    assert (again.code, again.stdout) == (3, runs.table.read_text()), again.stderr
    assert os.listdir(tmp_path / "kept") == ["stdout.csv.run.json"]


def test_ctrl_c_says_that_nothing_is_kept_and_leaves_nothing(
    command: list[str], tmp_path: Path
) -> None:
    stopped = run_with(PUBLISHED, signal.SIGINT, [*command, "-"], tmp_path)
    assert (stopped.returncode, stopped.stdout) == (130, ""), stopped.stderr
    assert "Interrupted\nnothing is kept: with --out - a run can be resumed" in stopped.stderr
    assert "are done and kept" not in stopped.stderr
    assert os.listdir(tmp_path / "tmp") == []


def test_ctrl_c_after_the_table_was_written_out_says_so(
    command: list[str], runs: Runs, tmp_path: Path
) -> None:
    removed = "event == 'os.remove' and str(of[0]).endswith('stdout.csv')"
    stopped = run_with(removed, signal.SIGINT, [*command, "-"], tmp_path)
    assert (stopped.returncode, stopped.stdout) == (130, runs.table.read_text()), stopped.stderr
    assert "Interrupted\nthe whole table was written to standard output" in stopped.stderr
    assert "nothing is kept" not in stopped.stderr


def test_a_reader_that_has_enough_ends_a_new_run_without_a_message(
    command: list[str], runs: Runs
) -> None:
    place = runs.table.with_name("kept")
    words = [*command, "-", "--journal-dir", str(place)]
    done = shell('"$@" | head -c 10; echo " ${PIPESTATUS[0]}"', place, words)
    assert done.stdout == "image,stat 1\n"
    for word in ("Error", "kept", "done before"):
        assert word not in done.stderr
    assert os.listdir(place) == ["stdout.csv.run.json"]


def test_a_closed_standard_output_is_refused_before_the_run(
    command: list[str], tmp_path: Path
) -> None:
    done = shell('"$@" >&-', tmp_path, [*command, "-", "--journal-dir", "."])
    assert done.returncode == 1
    assert done.stderr.startswith("Error: standard output is closed, wanted a file or a pipe")
    assert os.listdir(tmp_path) == []


def run(*words: object) -> Result:
    return CliRunner().invoke(hambatch, list(map(str, words)))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--format parquet", "Next: --out preds.parquet --format parquet"),
        ("--format xlsx", "is no text, wanted --format csv, tsv, jsonl, isic"),
        ("--update", "--update brings a table up to date, and there is none"),
        ("--retry-failed", "--retry-failed needs a finished table"),
        ("--sign key.pem", "--sign puts the seal beside the table"),
        ("--journal-dir none", "Next: mkdir -p none"),
    ],
)
def test_what_needs_a_file_is_refused_as_wrong_usage(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key.pem").touch()
    result = run("score", source, "--out", "-", *words.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.output


def test_a_file_of_that_name_is_neither_replaced_nor_removed(
    command: list[str], tmp_path: Path
) -> None:
    (tmp_path / "stdout.csv").write_text("of somebody else")
    result = run(*command, "-", "--journal-dir", tmp_path)
    assert "stdout.csv exists already, wanted room for the table" in str(result.exception)
    assert (tmp_path / "stdout.csv").read_text() == "of somebody else"
    assert os.listdir(tmp_path) == ["stdout.csv"]
