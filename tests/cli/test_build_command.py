"""`hambatch build` where it cannot be done: one message, exit 1, nothing left behind."""

from dataclasses import fields
from pathlib import Path

import pytest

from hambatch.backends.tensorrt.options import BuildOptions
from hambatch.cli.build import PhaseBars, build
from hambatch.system.gpus import probe_gpus
from tests.cli.test_command_line import run

no_gpu = pytest.mark.skipif(probe_gpus().usable, reason="this machine has a GPU")


def test_every_option_is_a_field_of_the_config_with_its_default() -> None:
    options = {option.name: option.default for option in build.params}
    assert options == {field.name: field.default for field in fields(BuildOptions)}


@no_gpu
def test_without_a_gpu_it_is_one_message_with_the_next_command() -> None:
    done = run("build", "--precision", "fp32")
    assert done.returncode == 1
    assert "TensorRT needs a GPU" in done.stderr
    assert done.stderr.count("Next: ") == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_unknown_engine_is_told_before_anything_else() -> None:
    done = run("build", "nope")
    assert done.returncode == 1
    assert "hambatch engines list" in done.stderr


@pytest.mark.parametrize("option", [("--max-batch", 0), ("--precision", "tf32"), ("--device", -1)])
def test_what_cannot_be_meant_is_a_usage_error(option: tuple[object, ...]) -> None:
    done = run("build", *option)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_plans_are_listed_and_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    listed = run("engines", "plans")
    assert listed.returncode == 0
    assert "no plan in" in listed.stdout
    assert "0 plans removed" in run("engines", "prune", "--all").stderr
    (tmp_path / "hambatch" / "plans").chmod(0o755)
    refused = run("engines", "plans")
    assert refused.returncode == 1
    assert "Next: chmod 700" in refused.stderr


def test_bars_come_and_go_and_say_nothing_off_a_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for silent in (True, False):
        bars = PhaseBars(silent=silent)
        bars.start("Building Engine", 2)
        bars.start("Tactic Selection", 1)
        bars.step("Tactic Selection")
        bars.step("a phase that never began")
        bars.finish("Tactic Selection")
        bars.close()
        said = capsys.readouterr().err
        assert bool(said) is not silent
    assert "Building Engine" in said
