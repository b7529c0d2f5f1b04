"""`hambatch parity` as a command: options, exit codes, what is written."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from hambatch.checks.options import ParityOptions
from hambatch.cli.parity import parity
from hambatch.errors import ExitCode
from tests.backends.tensorrt.host_gpus import host_gpus
from tests.cli.test_command_line import run

__all__ = ["host_gpus"]


def test_every_option_is_a_field_of_the_config_with_its_default() -> None:
    own = {"source", "out"}
    options = {option.name: option.default for option in parity.params if option.name not in own}
    assert options == {field.name: field.default for field in fields(ParityOptions)}


@pytest.mark.slow
@pytest.mark.usefixtures("host_gpus")
def test_a_gpu_that_answers_wrongly_is_beyond_its_tolerance_and_bad_files_are_left_out(
    image_folder: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_GPU_WRONG", "0")
    (image_folder / "0_empty.jpg").touch()
    out = tmp_path / "parity.json"
    options = ("--engine", tiny_engine, "--device", "0", "--precision", "fp32", "--count", 8)
    done = run("parity", image_folder, *options, "--out", out)
    assert done.returncode == ExitCode.BEYOND_TOLERANCE == 3, done.stderr
    assert "8 of 25 images, 1 of them left out\n  1 x empty file\n" in done.stdout
    assert done.stdout.endswith("Verdict: dali-gpu+tensorrt-fp32 beyond\n")
    result = json.loads(out.read_text())
    *_, on_gpu = result["paths"]
    assert on_gpu["compared"]["label_flips"] > 0
    # Wrong, and always the same.
    assert on_gpu["steady"]
    assert (result["kind"], result["holds"]) == ("hambatch parity", False)
    assert {"numpy", "openvino"} <= result["versions"].keys()


def test_a_folder_of_bad_files_is_one_message(tmp_path: Path, tiny_engine: Path) -> None:
    (tmp_path / "junk.jpg").write_bytes(b"\xff\xd8 no picture")
    done = run("parity", tmp_path, "--engine", tiny_engine, "--device", "cpu")
    assert done.returncode == 1
    assert "none of the 1 images" in done.stderr
    assert done.stderr.count("Next: ") == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ((), 1, "no JPEG or PNG image"),
        (("--device", "abacus"), 2, "--device is 'abacus'"),
        (("--precision", "fp16", "--device", "cpu"), 1, "nothing can be scored in fp16"),
        (("--out", "no/such/parity.json"), 1, "is in no folder"),
        (("--precision", "tf32"), 2, "tf32"),
        (("--count", "0"), 2, "count"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_scored(
    tmp_path: Path, tiny_engine: Path, options: tuple[str, ...], code: int, says: str
) -> None:
    done = run("parity", tmp_path, "--engine", tiny_engine, *options, cwd=tmp_path)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
