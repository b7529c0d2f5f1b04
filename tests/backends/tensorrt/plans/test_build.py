"""The whole of `hambatch build` but the GPU: TensorRT-RTX builds, OpenVINO answers for the plan."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hambatch.backends.tensorrt.options import BuildOptions
from hambatch.backends.tensorrt.plans.build import (
    Order,
    build_command,
    deliver,
    describe,
    kept_plan_for,
)
from hambatch.backends.tensorrt.plans.builder import Built
from hambatch.backends.tensorrt.plans.invariance import Images, Predict
from hambatch.engines.loading import Engine, load_engine, write_manifest
from hambatch.engines.manifest import read_manifest
from hambatch.errors import BackendError, EngineError
from hambatch.system.files import sha256_of_bytes
from tests.backends.tensorrt.plans.rtx import OpenVinoTrial, target
from tests.conftest import write_tiny_graph
from tests.engines.int8_engine import with_int8

OPTIONS = BuildOptions(precision="fp32", max_batch=4)


class Shop:
    """Orders plans of the tiny engine, and notes what was said and how often one was built."""

    def __init__(self, engine: Engine) -> None:
        self.engine, self.target = engine, target()
        self.trial = self.trial_that(lambda true: true)
        self.said: list[str] = []

    def trial_that(self, spoil: Callable[[Predict], Predict]) -> OpenVinoTrial:
        return OpenVinoTrial((self.engine.folder / "model.onnx").read_bytes(), spoil)

    def order(self, **options: object) -> "Shop":
        chosen = replace(OPTIONS, **options)  # type: ignore[arg-type]
        order = Order(self.engine, chosen, self.target, self.trial)
        self.plan = deliver(order, self.said.append)
        return self

    @property
    def built(self) -> int:
        return len(self.trial.plans)


@pytest.fixture
def shop(tiny_engine: Path, tmp_path: Path, own_cache: Path) -> Shop:
    # Of probabilities that are not all near 0 or 1, whatever pictures are drawn.
    soft = Path(shutil.copytree(tiny_engine, tmp_path / "soft"))
    write_tiny_graph(soft / "model.onnx", temperature=100.0)
    write_manifest(soft, read_manifest(soft))
    return Shop(load_engine(with_int8(soft, tmp_path / "tiny")))


def test_a_plan_is_built_once_and_then_found(shop: Shop, own_cache: Path) -> None:
    first = shop.order().plan
    assert "none was built yet" in shop.said[0]
    assert shop.trial.plans == [first.content]
    assert shop.order().plan == first
    assert shop.built == len(shop.said) == 1
    record = json.loads((own_cache / f"{first.record.key.name}.json").read_text())
    assert record["sha256"] == sha256_of_bytes(first.content)
    assert record["invariance"]["batch_sizes"] == [1, 2, 3, 4]
    assert record["invariance"]["max_difference"] <= 1e-6
    assert record["key"]["driver"] == "580.1"


def test_what_differs_is_told_and_built(shop: Shop) -> None:
    shop.order()
    shop.target = replace(shop.target, driver="590.1")
    shop.order()
    assert shop.built == 2
    assert "the nearest has driver 580.1, wanted 590.1" in shop.said[1]


def test_a_damaged_plan_is_built_again_and_told(shop: Shop, own_cache: Path) -> None:
    kept = shop.order().plan.record
    (own_cache / kept.file).write_bytes(b"no plan")
    shop.order()
    assert shop.built == 2
    assert "the plan is damaged" in shop.said[1]


def test_rebuild_builds_again(shop: Shop) -> None:
    shop.order().order(rebuild=True)
    assert shop.built == 2


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_other_precisions_are_plans_of_their_own(shop: Shop, precision: str) -> None:
    shop.order().order(precision=precision)
    assert shop.built == 2
    assert len(set(shop.trial.plans)) == 2
    assert bool(shop.plan.record.conversion) == (precision == "fp16")
    assert "the nearest has" in shop.said[1]
    assert f"tensorrt-{precision} of tiny" in describe(shop.plan)


def test_a_kept_plan_is_given_and_none_is_built(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def order_of(engine: Engine, options: BuildOptions) -> Order:
        return Order(engine, options, shop.target, shop.trial)

    monkeypatch.setattr("hambatch.backends.tensorrt.plans.build.order_of", order_of)
    with pytest.raises(BackendError, match="none was built yet"):
        kept_plan_for(shop.engine, "fp32", OPTIONS.max_batch, 0)
    kept = shop.order().plan
    assert kept_plan_for(shop.engine, "fp32", OPTIONS.max_batch, 0) == kept
    with pytest.raises(BackendError) as none:
        kept_plan_for(shop.engine, "fp32", 5, 0)
    assert shop.built == 1
    why, _, command = str(none.value).partition("\nNext: ")
    assert "the nearest has profile (1, 4, 4), wanted (1, 5, 5)" in why
    assert command == f"hambatch build --precision fp32 --max-batch 5 {shop.engine.folder}"


def test_the_build_command_names_only_what_is_not_the_default(default_engine: Engine) -> None:
    options = BuildOptions(precision="int8", max_batch=8)
    command = "hambatch build --precision int8 --max-batch 8"
    assert build_command(default_engine, options) == command
    assert build_command(default_engine, replace(options, device=1)) == f"{command} --device 1"


def test_timings_are_of_plans_that_were_kept_and_a_rebuild_starts_without(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT-RTX has no timing cache: only what it would be given and leave is looked at."""
    given: list[bytes] = []

    def build_plan(*_: object, timing: bytes, **__: object) -> Built:
        given.append(timing)
        return Built(b"plan", timing + b"+")

    monkeypatch.setattr("hambatch.backends.tensorrt.plans.build.build_plan", build_plan)
    shop.target = replace(shop.target, times_kernels=True)
    shop.trial = shop.trial_that(drifting)
    with pytest.raises(EngineError):
        shop.order()
    shop.trial = shop.trial_that(lambda true: true)
    shop.order().order(max_batch=3).order(rebuild=True).order(max_batch=2)
    assert given == [b"", b"", b"+", b"", b"+"]


def drifting(true: Predict) -> Predict:
    def predict(images: Images) -> np.ndarray:
        logits = true(images)
        logits[-1] *= 1 if len(images) == 1 else 1.1
        return logits

    return predict


def test_a_plan_whose_answers_drift_is_refused_and_not_kept(shop: Shop, own_cache: Path) -> None:
    shop.trial = shop.trial_that(drifting)
    with pytest.raises(EngineError, match="scores depend on its place"):
        shop.order()
    assert list(own_cache.glob("*.plan")) == list(own_cache.glob("*.json")) == []


def test_a_precision_that_the_engine_lacks_is_refused(tiny_engine: Path, own_cache: Path) -> None:
    shop = Shop(load_engine(tiny_engine))
    with pytest.raises(EngineError, match="has no int8 graph"):
        shop.order(precision="int8")


@pytest.mark.slow
def test_the_default_engines_plan_is_compared_with_its_record(
    default_engine: Engine, own_cache: Path
) -> None:
    shop = Shop(default_engine)
    known = shop.order(max_batch=2).plan.record.known_pictures
    assert known["images"] == 4
    assert known["max_difference"] < known["tolerance"]
    assert "4 known pictures are within" in describe(shop.plan)


def test_a_plan_that_answers_for_other_pictures_is_refused(
    default_engine: Engine, known_pictures: Images
) -> None:
    from hambatch.backends.tensorrt.plans.trial import compare_known_pictures

    with pytest.raises(EngineError, match="on a known picture"):
        compare_known_pictures(
            default_engine, "fp16", lambda images: np.zeros((1, 7), np.float32), known_pictures
        )
