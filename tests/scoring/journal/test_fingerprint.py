"""What decides a row is in the fingerprint: on a GPU the card, its driver and its plan, too."""

import hashlib
from pathlib import Path

import pytest

from hambatch.backends.tensorrt.plans.cache import KeptPlan
from hambatch.engines.loading import load_engine
from hambatch.errors import BackendError
from hambatch.scoring.journal.fingerprint import computing_device
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.scoring.run import score
from hambatch.system.gpus import Gpu, Probe
from tests.backends.tensorrt.plans.made_plans import CONTENT, record

NONE = Probe("", 0, (), "no NVIDIA driver was found", "hambatch doctor")
ONE = Probe("580.1", 13000, (Gpu(0, "NVIDIA Made-Up", (8, 9), 1 << 34, ""),), "", "")


def test_the_plan_and_the_card_are_part_of_a_run(
    tiny_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up = []

    def kept(engine: object, precision: str, max_batch: int, ordinal: int) -> KeptPlan:
        looked_up.append((precision, max_batch, ordinal))
        return KeptPlan(CONTENT, record())

    monkeypatch.setattr("hambatch.backends.tensorrt.plans.build.kept_plan_for", kept)
    monkeypatch.setattr("hambatch.scoring.plan.probe_gpus", lambda: ONE)
    plan = plan_run(tiny_engine, ScoreOptions(backend="tensorrt", precision="fp32"), build=False)
    found = computing_device(load_engine(tiny_engine), plan)
    assert (found["kind"], found["gpu"], found["driver"]) == ("gpu", "NVIDIA Made-Up", "580.1")
    assert found["plan_sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert looked_up == [("fp32", 64, 0)]


def test_on_the_cpu_no_gpu_is_looked_for(
    tiny_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hambatch.scoring.plan.probe_gpus", None)
    plan = plan_run(tiny_engine, ScoreOptions.on_cpu())
    found = computing_device(load_engine(tiny_engine), plan)
    assert set(found) == {"kind", "instruction_set"}


def test_a_run_that_no_gpu_can_do_leaves_nothing_behind(
    tiny_engine: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hambatch.scoring.plan.probe_gpus", lambda: NONE)
    options = ScoreOptions(engine=str(tiny_engine), backend="tensorrt")
    with pytest.raises(BackendError, match="no NVIDIA driver"):
        score([images], tmp_path / "rows.csv", "csv", options)
    assert [*tmp_path.iterdir()] == []
