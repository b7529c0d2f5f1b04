"""What TensorRT refuses becomes one message; a plan that does not fit is refused before it runs."""

import sys
from typing import Any

import pytest

from hambatch.backends.tensorrt.runtime import LoadedPlan
from hambatch.backends.tensorrt.slot import RequestForm
from hambatch.errors import BackendError, EngineError, MissingDependency, OutOfMemory
from tests.backends.tensorrt.stand_in_tensorrt import stand_in

FORM = RequestForm(64, "images", (224, 224, 3), {"logits": 7, "features": 2048})


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = stand_in()
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    return module


def test_a_plan_that_fits_makes_contexts(trt: Any) -> None:
    plan = LoadedPlan(b"plan")
    plan.check(FORM)
    context = plan.make_context()
    context.set_input_shape("images", (64, 224, 224, 3))
    context.set_tensor_address("images", 256)
    assert context.update_device_memory_size_for_shapes() == 64_000
    context.close()


def test_a_refused_plan_is_reported_with_errors_and_without_chatter(trt: Any) -> None:
    trt.says = [("warning", "chatter"), ("error", "engine plan file is of version 10.3")]
    with pytest.raises(BackendError, match=r"version 10\.3.*\nNext: hambatch build") as refused:
        LoadedPlan(b"other")
    assert "chatter" not in str(refused.value)
    assert not isinstance(refused.value, OutOfMemory)


def test_memory_that_runs_out_is_an_error_of_its_own(trt: Any) -> None:
    plan = LoadedPlan(b"plan")
    plan._log.errors.append("[defaultAllocator] Cuda failure: out of memory")
    trt.plan.refused = {"context"}
    with pytest.raises(OutOfMemory, match="no execution context"):
        plan.make_context()
    # Said once: the next failure has a reason of its own, or none.
    with pytest.raises(BackendError, match="no reason given") as refused:
        plan.make_context()
    assert not isinstance(refused.value, OutOfMemory)


def test_a_plan_of_another_graph_is_refused(trt: Any) -> None:
    trt.plan.widths["logits"] = 6
    wanted = r"it has .*'logits': 'OUTPUT FLOAT \[\?,6\]'.* wanted .*FLOAT \[\?,7\]"
    with pytest.raises(EngineError, match=wanted):
        LoadedPlan(b"plan").check(FORM)


def test_an_illegal_access_is_not_taken_for_memory_that_ran_out(trt: Any) -> None:
    plan = LoadedPlan(b"plan")
    plan._log.errors.append("Cuda Runtime (an illegal memory access was encountered)")
    trt.plan.refused = {"context"}
    with pytest.raises(BackendError, match="illegal memory access") as refused:
        plan.make_context()
    assert not isinstance(refused.value, OutOfMemory)


def test_a_plan_for_smaller_requests_is_refused(trt: Any) -> None:
    larger = RequestForm(65, FORM.input, FORM.image, FORM.widths)
    with pytest.raises(EngineError, match="takes 1 to 64 images a request, wanted 65"):
        LoadedPlan(b"plan").check(larger)


@pytest.mark.parametrize("refused", ["shape", "address", "execute"])
def test_what_a_context_refuses_is_an_error(trt: Any, refused: str) -> None:
    trt.plan.refused = {refused}
    context = LoadedPlan(b"plan").make_context()
    refusing = {
        "shape": lambda: context.set_input_shape("images", (1, 224, 224, 3)),
        "address": lambda: context.set_tensor_address("images", 256),
        "execute": lambda: context.execute_async_v3(4096),
    }
    with pytest.raises(BackendError, match="TensorRT failed"):
        refusing[refused]()


def test_a_closed_plan_makes_no_context(trt: Any) -> None:
    plan = LoadedPlan(b"plan")
    plan.close()
    with pytest.raises(BackendError, match="after it was closed"):
        plan.make_context()


def test_a_missing_tensorrt_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(MissingDependency, match=r"hambatch\[gpu\]"):
        LoadedPlan(b"plan")
