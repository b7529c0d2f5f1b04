"""What becomes a FIFO while a command looks at it does not make the command wait for ever."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from tests.waiting import HANGS_S

SWAP = """
import os, sys

swapped = sys.argv.pop().split(os.pathsep)

def swap(event, arguments):
    if event == "open" and str(arguments[0]) in swapped and os.path.isfile(arguments[0]):
        os.unlink(arguments[0])
        os.mkfifo(arguments[0])

sys.addaudithook(swap)
from hambatch.cli import hambatch
hambatch()
"""
"""A file becomes a FIFO between the look at it and its opening."""


def invoke(*arguments: object) -> int:
    return CliRunner().invoke(hambatch, list(map(str, arguments))).exit_code


def run_while_they_become_fifos(
    paths: list[Path], *arguments: Path | str
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", SWAP, *map(str, arguments), os.pathsep.join(map(str, paths))]
    found = subprocess.run(command, capture_output=True, text=True, timeout=HANGS_S, check=False)
    assert all(stat.S_ISFIFO(path.lstat().st_mode) for path in paths)
    return found


def test_files_that_become_fifos_while_images_are_listed(tiny_engine: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "a").mkdir(parents=True)
    swapped = [source / name for name in ("notes.txt", ".hidden.jpg", "a/README")]
    for path in swapped:
        path.write_bytes(b"some text")
    command = ["score", source, "--engine", tiny_engine, "--out", tmp_path / "preds.csv"]
    found = run_while_they_become_fifos(swapped, *command, "--device", "cpu")
    assert found.returncode == 1
    assert "no image" in found.stderr


def test_a_graph_that_becomes_a_fifo_while_it_is_hashed(tiny_engine: Path, tmp_path: Path) -> None:
    engine = Path(shutil.copytree(tiny_engine, tmp_path / "engine")).resolve()
    found = run_while_they_become_fifos([engine / "model.onnx"], "engines", "verify", engine)
    assert found.returncode == 1
    assert "model.onnx cannot be read: not a regular file" in found.stderr


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "hambatch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=HANGS_S, check=False)


@pytest.fixture(scope="module")
def scored(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one image, and its table."""
    place = tmp_path_factory.mktemp("scored")
    images, table = place / "images", place / "preds.csv"
    assert invoke("samples", images, "--count", 1) == 0
    assert invoke("score", images, "--engine", tiny_engine, "--out", table) == 0
    return place


@pytest.mark.parametrize("special", ["preds.csv", "preds.csv.run.json", "device"])
def test_verify_does_not_wait_for_a_pipe(scored: Path, tmp_path: Path, special: str) -> None:
    for name in ("preds.csv", "preds.csv.run.json"):
        shutil.copy(scored / name, tmp_path)
    path = tmp_path / ("preds.csv" if special == "device" else special)
    path.unlink()
    if special == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path)
    found = run("verify", tmp_path / "preds.csv", scored / "images", "--sample", 0)
    assert found.returncode == 1
    assert f"{path.name}" in found.stderr
    assert "not a regular file" in found.stderr
    assert "Next: " in found.stderr


@pytest.mark.parametrize("table", ["", ".", "/"])
def test_verify_says_that_a_folder_is_no_table(tmp_path: Path, table: str) -> None:
    found = run("verify", table, tmp_path)
    assert found.returncode == 1
    assert "is a folder, wanted a file.\nNext: " in found.stderr
    assert "Traceback" not in found.stderr


def test_evaluate_does_not_wait_for_a_split_table_that_is_a_pipe(
    scored: Path, tmp_path: Path
) -> None:
    labels, split = tmp_path / "labels.csv", tmp_path / "split.jsonl"
    labels.write_text("image_id,dx\nsample_00000,nv\n")
    os.mkfifo(split)
    found = run("evaluate", scored / "preds.csv", "--truth", labels, "--data", split)
    assert found.returncode == 1
    assert f"{split} cannot be used: not a regular file.\nNext: " in found.stderr
