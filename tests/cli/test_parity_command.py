"""`hambatch parity` as a command: options, exit codes, what is written."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hambatch.checks.options import ParityOptions
from hambatch.checks.parity import measuring
from hambatch.checks.parity.paths import varied_runs
from hambatch.cli import hambatch
from hambatch.cli.parity import parity
from hambatch.errors import ExitCode, HambatchError
from tests.backends.tensorrt.host_gpus import host_gpus

__all__ = ["host_gpus"]


def test_every_option_is_a_field_of_the_config_with_its_default() -> None:
    own = {"sources", "out"}
    options = {option.name: option.default for option in parity.params if option.name not in own}
    assert options == {field.name: field.default for field in fields(ParityOptions)}


@pytest.mark.slow
@pytest.mark.usefixtures("host_gpus")
def test_a_gpu_that_scores_wrongly_is_beyond_its_tolerance_and_bad_files_are_left_out(
    image_folder: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_GPU_WRONG", "0")
    # All ways to score the same images are those of tests/checks/parity: here one is enough.
    monkeypatch.setattr(
        measuring, "varied_runs", lambda path: [run for run in varied_runs(path) if run.backwards]
    )
    (image_folder / "0_empty.jpg").touch()
    out = tmp_path / "parity.json"
    options = ("--engine", tiny_engine, "--device", "0", "--precision", "fp32", "--count", 8)
    done = invoke(image_folder, *options, "--out", out)
    assert done.exit_code == ExitCode.BEYOND_TOLERANCE == 3, done.stderr
    assert "8 of 25 images, 1 of them left out\n  1 x empty file\n" in done.stdout
    assert done.stdout.endswith("Verdict: dali-gpu+tensorrt-fp32 beyond\n")
    result = json.loads(out.read_text())
    *_, on_gpu = result["paths"]
    assert on_gpu["compared"]["label_flips"] > 0
    # Wrong, and always the same.
    assert [run["name"] for run in on_gpu["varied"]] == ["backwards"]
    assert on_gpu["steady"]
    assert (result["kind"], result["holds"]) == ("hambatch parity", False)
    assert {"numpy", "openvino"} <= result["versions"].keys()


@pytest.mark.parametrize(
    ("junk", "options", "says"),
    [
        (True, ("--device", "cpu"), "none of the 1 images"),
        (False, (), "no image"),
        (False, ("--precision", "fp16", "--device", "cpu"), "nothing can be scored in fp16"),
        (False, ("--out", "no/such/parity.json"), "is in no folder"),
    ],
)
def test_what_cannot_be_done_is_one_message(
    tmp_path: Path, tiny_engine: Path, junk: bool, options: tuple[str, ...], says: str
) -> None:
    if junk:
        (tmp_path / "junk.jpg").write_bytes(b"\xff\xd8 no picture")
    done = invoke(tmp_path, "--engine", tiny_engine, *options)
    assert isinstance(done.exception, HambatchError)
    assert says in str(done.exception)
    assert str(done.exception).count("Next: ") == 1
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--device", "abacus", "--device is 'abacus'"),
        ("--precision", "tf32", "tf32"),
        ("--count", "0", "count"),
    ],
)
def test_a_bad_option_is_a_usage_error(tmp_path: Path, option: str, value: str, says: str) -> None:
    done = invoke(tmp_path, option, value)
    assert done.exit_code == ExitCode.USAGE
    assert says in done.stderr


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(hambatch, ["parity", *map(str, arguments)])
