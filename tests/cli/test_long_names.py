"""An output whose name leaves no room for longer names beside it is refused before any work."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from tests.cli.test_evaluate import write_inputs
from tests.conftest import jpeg_bytes


def run(*arguments: Path | str) -> tuple[int, str]:
    """Give the exit code, and what a user reads, whichever part of the command line refuses."""
    found = CliRunner().invoke(hambatch, list(map(str, arguments)))
    return found.exit_code, f"{found.output}{found.exception}"


@pytest.mark.parametrize("name", ["n" * 240 + ".csv", "\u00e4" * 121 + ".csv"])
def test_score_refuses_a_name_without_room_for_those_beside_it(
    tiny_engine: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "a.jpg").write_bytes(jpeg_bytes(1))
    command = ["score", tmp_path / "source", "--engine", tiny_engine, "--device", "cpu"]
    code, said = run(*command, "--out", tmp_path / name)
    assert code == 2, said
    assert "too long for this file system" in said
    assert os.listdir(tmp_path) == ["source"]


def test_evaluate_refuses_it_too(tmp_path: Path) -> None:
    predictions, truth = write_inputs(tmp_path)
    page = tmp_path / ("n" * 245 + ".html")
    code, said = run("evaluate", predictions, "--truth", truth, "--html", page)
    assert code == 2, said
    assert "too long for this file system" in said
