"""From an engine to a backend on a GPU: what is checked first, what is given back on the way."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hambatch.backends import load_backend
from hambatch.backends.tensorrt.backend import fitting_backend, load
from hambatch.backends.tensorrt.plans import build as plans
from hambatch.backends.tensorrt.requests import REQUEST_SIZE
from hambatch.backends.tensorrt.runtime import LoadedPlan
from hambatch.engines.loading import Engine, load_engine
from hambatch.errors import BackendError, EngineError, OutOfMemory
from hambatch.system import gpus as choosing
from hambatch.system.gpus import Gpu, Probe
from tests.backends.contract import batch_of, pictures, scores
from tests.backends.tensorrt import stand_in_driver, stand_in_tensorrt
from tests.backends.tensorrt.host_engine import HostEngine, form_of
from tests.backends.tensorrt.host_memory import HostDevice
from tests.backends.tensorrt.on_host import OnHost
from tests.backends.tensorrt.stand_in_driver import Card

HEALTHY = Probe("580.1", 12040, (Gpu(0, "a card", (8, 9), 2**34, ""),), "", "")


@pytest.fixture(scope="module")
def engine(tiny_engine: Path) -> Engine:
    return load_engine(tiny_engine)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    made = Card()
    for name, module in stand_in_driver.stand_in(made).items():
        monkeypatch.setitem(sys.modules, name, module)
    return made


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = stand_in_tensorrt.stand_in()
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    kept = SimpleNamespace(content=b"plan")
    monkeypatch.setattr(plans, "kept_plan_for", lambda *of: kept)
    probed(monkeypatch, HEALTHY)
    return module


def probed(monkeypatch: pytest.MonkeyPatch, found: Probe) -> None:
    monkeypatch.setattr(choosing, "probe_gpus", lambda: found)


def is_clean(card: Card) -> bool:
    return (card.depth, card.allocated, card.locked, card.released) == (0, 0, 0, 1)


def test_a_loaded_backend_scores_and_gives_everything_back(
    engine: Engine, card: Card, trt: Any
) -> None:
    backend = load_backend("tensorrt", engine, "fp16", 2)
    assert backend.name == "tensorrt-fp16"
    images = pictures(5)
    (scored,) = backend.predict([batch_of(images)])
    means = images.mean((1, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(scored.logits, np.repeat(means[:, None], 7, 1))
    np.testing.assert_array_equal(scored.features, np.repeat(means[:, None], 2048, 1))
    backend.close()
    assert is_clean(card)


def test_the_plan_goes_after_its_slots_and_before_its_context(
    engine: Engine, card: Card, trt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def close(plan: LoadedPlan) -> None:
        seen.append((card.depth, card.allocated, card.released))

    monkeypatch.setattr(LoadedPlan, "close", close)
    load(engine, "fp32", 2).close()
    assert seen == [(1, 0, 0)]
    trt.plan.widths["logits"] = 6
    with pytest.raises(EngineError):
        load(engine, "fp32", 2)
    assert seen[1:] == [(1, 0, 1)]


def test_a_pycuda_that_does_not_load_is_one_message(
    engine: Engine, trt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "pycuda"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "driver.py").write_text("raise ImportError('libcurand.so.10: no such file')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendError, match=r"(?s)does not load: libcurand.*Next: hambatch doctor"):
        load(engine, "fp32", 2)


def test_a_card_that_is_nearly_full_gets_smaller_requests(
    engine: Engine, card: Card, trt: Any
) -> None:
    an_image = 224 * 224 * 3 + 4 * (7 + 2048) + stand_in_tensorrt.SCRATCH_PER_IMAGE
    card.memory = 2 * 40 * an_image
    backend = load(engine, "fp16", 2)
    assert REQUEST_SIZE == 64
    assert backend.name == "tensorrt-fp16-b32"
    backend.close()
    card.memory = an_image
    card.released = 0
    with pytest.raises(OutOfMemory, match=r"memory is full.*\nNext: end other programs"):
        load(engine, "fp16", 2)
    assert is_clean(card)


def test_a_plan_of_another_graph_leaves_nothing_behind(
    engine: Engine, card: Card, trt: Any
) -> None:
    trt.plan.widths["logits"] = 6
    with pytest.raises(EngineError, match=r"does not match its engine\.json"):
        load(engine, "fp32", 2)
    assert is_clean(card)


def test_without_a_usable_gpu_tensorrt_is_not_touched(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed(monkeypatch, Probe("", 0, (), "no driver", "hambatch doctor"))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    wanted = r"needs a GPU: no driver\.\nNext: hambatch doctor"
    with pytest.raises(BackendError, match=wanted):
        load(engine, "fp32", 2)


def test_a_gpu_that_is_not_there_is_named(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    probed(monkeypatch, HEALTHY)
    with pytest.raises(BackendError, match=r"no GPU 3 here; there is: 0 \(a card\)"):
        load(engine, "fp32", 2, ordinal=3)


def needed(engine: Engine, size: int, slots: int = 2) -> int:
    """Bytes of device memory that slots take."""
    made = OnHost(engine, size=size, slots=slots)
    taken = (1 << 40) - made.device._left
    made.backend.close()
    return taken


def test_where_memory_is_short_requests_are_halved_and_the_name_says_so(engine: Engine) -> None:
    images = pictures(11)
    device = HostDevice(memory=needed(engine, 4))
    host = HostEngine(device, engine)
    backend = fitting_backend("tensorrt-fp16", device, host.make_context, form_of(engine, 14), 2)
    # 14, 7, 3: an odd size is halved too.
    assert backend.name == "tensorrt-fp16-b3"
    assert backend.note == "requests hold 3 images, not 14: the GPU's memory is full"
    wanted = OnHost(engine, size=3)
    np.testing.assert_array_equal(scores(backend, images), scores(wanted.backend, images))
    backend.close()
    wanted.backend.close()


def test_where_memory_is_enough_requests_stay_as_large_and_there_is_no_note(engine: Engine) -> None:
    device = HostDevice(memory=needed(engine, 16))
    host = HostEngine(device, engine)
    backend = fitting_backend("tensorrt-fp16", device, host.make_context, form_of(engine, 16), 2)
    assert (backend.name, backend.note) == ("tensorrt-fp16", "")
    backend.close()


def test_where_not_even_one_image_fits_it_is_an_error_and_nothing_is_kept(engine: Engine) -> None:
    device = HostDevice(memory=needed(engine, 1) - 1)
    host = HostEngine(device, engine)
    with pytest.raises(OutOfMemory):
        fitting_backend("tensorrt-fp16", device, host.make_context, form_of(engine, 16), 2)
    device.close()
