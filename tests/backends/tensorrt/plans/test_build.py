"""The whole of `hambatch build` but the GPU: TensorRT-RTX builds, OpenVINO scores for the plan."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hambatch.backends.tensorrt.options import BuildOptions
from hambatch.backends.tensorrt.plans.build import (
    WantedPlan,
    build_command,
    describe,
    find_or_build,
    kept_plan_for,
)
from hambatch.backends.tensorrt.plans.builder import Built
from hambatch.backends.tensorrt.plans.invariance import Images, Predict
from hambatch.engines.loading import Engine, load_engine, write_manifest
from hambatch.engines.manifest import read_manifest
from hambatch.errors import BackendError, EngineError
from hambatch.system.files import sha256_of_bytes
from tests.backends.tensorrt.plans.rtx import OpenVinoTrial, Phases, target
from tests.conftest import write_tiny_graph
from tests.engines.int8_engine import with_int8

OPTIONS = BuildOptions(precision="fp32", max_batch=4)


class Workshop:
    """Finds or builds plans of the tiny engine, and counts builds and what was reported."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.target = engine, target()
        self.trial = self.trial_that(lambda true: true)
        self.reported: list[str] = []

    def trial_that(self, spoil: Callable[[Predict], Predict]) -> OpenVinoTrial:
        return OpenVinoTrial((self.engine.folder / "model.onnx").read_bytes(), spoil)

    def get(self, **options: object) -> "Workshop":
        chosen = replace(OPTIONS, **options)  # type: ignore[arg-type]
        wanted = WantedPlan(self.engine, chosen, self.target, self.trial)
        self.plan = find_or_build(wanted, self.reported.append, Phases())
        return self

    @property
    def built(self) -> int:
        return len(self.trial.plans)


@pytest.fixture
def workshop(tiny_engine: Path, tmp_path: Path, own_cache: Path) -> Workshop:
    # Of probabilities that are not all near 0 or 1, whatever pictures are drawn.
    soft = Path(shutil.copytree(tiny_engine, tmp_path / "soft"))
    write_tiny_graph(soft / "model.onnx", temperature=100.0)
    write_manifest(soft, read_manifest(soft))
    return Workshop(load_engine(with_int8(soft, tmp_path / "tiny")))


def test_a_plan_is_built_once_and_then_found(workshop: Workshop, own_cache: Path) -> None:
    first = workshop.get().plan
    assert "none was built yet" in workshop.reported[0]
    assert workshop.trial.plans == [first.content]
    assert workshop.get().plan == first
    assert workshop.built == len(workshop.reported) == 1
    record = json.loads((own_cache / f"{first.record.key.name}.json").read_text())
    assert record["sha256"] == sha256_of_bytes(first.content)
    assert record["invariance"]["batch_sizes"] == [1, 2, 3, 4]
    assert record["invariance"]["max_difference"] <= 1e-6
    assert record["key"]["driver"] == "580.1"


def test_a_plan_for_another_driver_is_built_and_the_reason_reported(workshop: Workshop) -> None:
    workshop.get()
    workshop.target = replace(workshop.target, driver="590.1")
    workshop.get()
    assert workshop.built == 2
    assert "the nearest has driver 580.1, wanted 590.1" in workshop.reported[1]


def test_a_damaged_plan_is_built_again_and_the_reason_reported(
    workshop: Workshop, own_cache: Path
) -> None:
    kept = workshop.get().plan.record
    (own_cache / kept.file).write_bytes(b"no plan")
    workshop.get()
    assert workshop.built == 2
    assert "the plan is damaged" in workshop.reported[1]


def test_rebuild_builds_again(workshop: Workshop) -> None:
    workshop.get().get(rebuild=True)
    assert workshop.built == 2


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_other_precisions_are_plans_of_their_own(workshop: Workshop, precision: str) -> None:
    workshop.get().get(precision=precision)
    assert workshop.built == 2
    assert len(set(workshop.trial.plans)) == 2
    assert bool(workshop.plan.record.conversion) == (precision == "fp16")
    assert "the nearest has" in workshop.reported[1]
    assert f"tensorrt-{precision} of tiny" in describe(workshop.plan)


def test_a_kept_plan_is_given_and_none_is_built(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wanted_plan(engine: Engine, options: BuildOptions) -> WantedPlan:
        return WantedPlan(engine, options, workshop.target, workshop.trial)

    monkeypatch.setattr("hambatch.backends.tensorrt.plans.build.wanted_plan", wanted_plan)
    with pytest.raises(BackendError, match="none was built yet"):
        kept_plan_for(workshop.engine, "fp32", OPTIONS.max_batch, 0)
    kept = workshop.get().plan
    assert kept_plan_for(workshop.engine, "fp32", OPTIONS.max_batch, 0) == kept
    with pytest.raises(BackendError) as none:
        kept_plan_for(workshop.engine, "fp32", 5, 0)
    assert workshop.built == 1
    why, _, command = str(none.value).partition("\nNext: ")
    assert "the nearest has profile (1, 4, 4), wanted (1, 5, 5)" in why
    assert command == f"hambatch build --precision fp32 --max-batch 5 {workshop.engine.folder}"


def test_the_build_command_names_only_what_is_not_the_default(default_engine: Engine) -> None:
    options = BuildOptions(precision="int8", max_batch=8)
    command = "hambatch build --precision int8 --max-batch 8"
    assert build_command(default_engine, options) == command
    assert build_command(default_engine, replace(options, device=1)) == f"{command} --device 1"


def test_timings_are_of_plans_that_were_kept_and_a_rebuild_starts_without(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT-RTX has no timing cache: only what it would be given and leave is looked at."""
    given: list[bytes] = []

    def build_plan(*arguments: object) -> Built:
        timing = arguments[-1]
        assert isinstance(timing, bytes)
        given.append(timing)
        return Built(b"plan", timing + b"+")

    monkeypatch.setattr("hambatch.backends.tensorrt.plans.build.build_plan", build_plan)
    workshop.target = replace(workshop.target, times_kernels=True)
    workshop.trial = workshop.trial_that(drifting)
    with pytest.raises(EngineError):
        workshop.get()
    workshop.trial = workshop.trial_that(lambda true: true)
    workshop.get().get(max_batch=3).get(rebuild=True).get(max_batch=2)
    assert given == [b"", b"", b"+", b"", b"+"]


def drifting(true: Predict) -> Predict:
    def predict(images: Images) -> np.ndarray:
        logits = true(images)
        logits[-1] *= 1 if len(images) == 1 else 1.1
        return logits

    return predict


def test_a_plan_whose_answers_drift_is_refused_and_not_kept(
    workshop: Workshop, own_cache: Path
) -> None:
    workshop.trial = workshop.trial_that(drifting)
    with pytest.raises(EngineError, match="scores depend on its slot"):
        workshop.get()
    assert list(own_cache.glob("*.plan")) == list(own_cache.glob("*.json")) == []


def test_a_precision_that_the_engine_lacks_is_refused(tiny_engine: Path, own_cache: Path) -> None:
    workshop = Workshop(load_engine(tiny_engine))
    with pytest.raises(EngineError, match="has no int8 graph"):
        workshop.get(precision="int8")


@pytest.mark.slow
def test_the_default_engines_plan_is_compared_with_its_record(
    default_engine: Engine, own_cache: Path
) -> None:
    workshop = Workshop(default_engine)
    found = workshop.get(max_batch=2).plan.record.known_pictures
    assert found["images"] == 4
    assert found["max_difference"] < found["tolerance"]
    assert "4 sentinels are within" in describe(workshop.plan)
