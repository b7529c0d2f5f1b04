"""A run on a GPU is that of one card, one driver and one plan."""

import hashlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from hambatch.backends.tensorrt.plans.cache import KeptPlan
from hambatch.cli import hambatch
from hambatch.engines.loading import load_engine
from hambatch.errors import BackendError
from hambatch.score.journal.fingerprint import computing_device
from hambatch.score.options import ScoreOptions
from hambatch.system.gpus import Probe
from tests.backends.tensorrt.plans.made_plans import CONTENT, record

NONE = Probe("", 0, (), "no NVIDIA driver was found", "hambatch doctor")


def test_the_plan_and_the_card_are_part_of_a_run(tiny_engine, monkeypatch):
    asked = []

    def kept(engine, precision, max_batch, ordinal):
        asked.append((precision, max_batch, ordinal))
        return KeptPlan(CONTENT, record())

    monkeypatch.setattr("hambatch.backends.tensorrt.plans.build.kept_plan_for", kept)
    options = ScoreOptions(backend="tensorrt", precision="fp32")
    found = computing_device(load_engine(tiny_engine), options)
    assert (found["kind"], found["gpu"], found["driver"]) == ("gpu", "NVIDIA Made-Up", "580.1")
    assert found["plan_sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert asked == [("fp32", 64, 0)]


def test_on_the_cpu_nobody_asks_for_a_gpu(tiny_engine, monkeypatch):
    monkeypatch.setattr("hambatch.system.gpus.probe_gpus", None)
    found = computing_device(load_engine(tiny_engine), ScoreOptions())
    assert set(found) == {"kind", "instruction_set"}


def test_a_run_that_no_gpu_can_do_leaves_its_output_to_others(tiny_engine, monkeypatch, tmp_path):
    monkeypatch.setattr("hambatch.system.gpus.probe_gpus", lambda: NONE)
    images, out = tmp_path / "images", tmp_path / "rows.csv"
    arguments = ["score", str(images), "--out", str(out), "--engine", str(tiny_engine)]
    command = CliRunner()
    command.invoke(hambatch, ["samples", str(images), "--count", "2"], standalone_mode=False)
    with pytest.raises(BackendError, match="no NVIDIA driver"):
        command.invoke(
            hambatch,
            [*arguments, "--backend", "tensorrt"],
            catch_exceptions=False,
            standalone_mode=False,
        )
    command.invoke(hambatch, arguments, catch_exceptions=False, standalone_mode=False)
    assert len(Path(out).read_text().splitlines()) == 3
