"""`hambatch bench`: options are the config's, bad ones are refused, results are written whole."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from hambatch.backends import BACKENDS
from hambatch.bench.options import BenchEngineOptions, BenchPipelineOptions, BenchScoreOptions
from hambatch.cli import bench as command_line
from hambatch.cli import hambatch
from hambatch.errors import HambatchError
from tests.conftest import jpeg_bytes


def run(*arguments: object) -> Result:
    return CliRunner().invoke(hambatch, ["bench", *map(str, arguments)])


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("engine", BenchEngineOptions),
        ("pipeline", BenchPipelineOptions),
        ("score", BenchScoreOptions),
    ],
)
def test_every_option_is_a_field_of_the_config_with_its_default(name: str, config: Any) -> None:
    command: click.Command = command_line.bench.commands[name]
    own = {"sources", "out", "plots"}
    options = {p.name: p.default for p in command.params if p.name not in own}
    assert options == {field.name: field.default for field in fields(config)}


def test_every_backend_can_be_measured() -> None:
    assert set(command_line.BACKENDS.choices) == set(BACKENDS)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["engine", "--batch-size", "1,x"], "'x' is not a valid integer"),
        (["engine", "--batch-size", "1,,2"], "empty part"),
        (["engine", "--threads", "0"], "0 is not in the range"),
        (["engine", "--streams", "-1"], "-1 is not in the range"),
        (["engine", "--backend", "openvino,abacus"], "'abacus' is not one of"),
        (["engine", "--precision", ""], "empty part"),
        (["engine", "--percentile", "100"], "100.0 is not in the range"),
        (["engine", "--max-seconds", "nan"], "nan"),
        (["pipeline", "--batch-size", "0"], "0 is not in the range"),
        (["score", "--batch-size", "16,32"], "not a valid integer"),
        (["score", "--repeats", "0"], "0 is not in the range"),
    ],
)
def test_a_bad_option_is_a_usage_error(arguments: list[str], says: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pipeline", "--out", "no/such/r.json"], "in no folder that exists"),
        (["pipeline", "--out", "."], "is a folder"),
        (["pipeline", "nowhere"], "does not exist"),
        (["engine", "--precision", "int4"], "only, wanted int4"),
        (["score", "--engine", "nope"], "hambatch engines list"),
    ],
)
def test_what_cannot_be_measured_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    error = run(*arguments).exception
    assert isinstance(error, HambatchError)
    assert says in str(error)
    assert "\nNext: " in str(error)
    assert list(tmp_path.iterdir()) == []


def test_a_result_is_printed_written_and_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_engine: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some").mkdir()
    for k in range(3):
        (tmp_path / "some" / f"{k}.jpg").write_bytes(jpeg_bytes(k))
    small = ["--engine", tiny_engine, "--repeats", 2, "--count", 4, "--samples", 4]
    sweep = ["--batch-size", "1,2", "--out", "r.json", "--plots", "plots"]
    done = run("engine", "some", *small, *sweep)
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "r.json").read_text())
    assert done.stdout.splitlines()[-1] == f"Verdict: {result['verdict']}"
    assert "p99 is not valid: it needs 459 samples, has 4" in result["verdict"]
    assert "Wrote r.json" in done.stderr
    assert (tmp_path / "plots" / "throughput.png").read_bytes().startswith(b"\x89PNG")
