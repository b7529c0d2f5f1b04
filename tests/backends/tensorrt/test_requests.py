"""The TensorRT backend keeps the contract: on a GPU, and on host memory where there is none."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hambatch.backends import Backend
from hambatch.backends.openvino_cpu import load as load_openvino
from hambatch.backends.tensorrt.slot import Slot
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.errors import DeviceLost
from hambatch.types import Batch, DeviceImages, Scored
from tests.backends.contract import BackendContract, batch_of, pictures, scores
from tests.backends.tensorrt.on_host import SIZE, OnHost
from tests.backends.tensorrt.ordering import Fault
from tests.backends.tensorrt.real import real_backend
from tests.waiting import HANGS_S

IMAGE = 224 * 224 * 3


@pytest.fixture(scope="module")
def tiny(tiny_engine: Path) -> Engine:
    return load_engine(tiny_engine)


@pytest.fixture
def on_host(tiny: Engine) -> Iterator[OnHost]:
    made = OnHost(tiny)
    yield made
    made.backend.close()


@pytest.fixture(params=["host", pytest.param("gpu", marks=pytest.mark.gpu)])
def backend(request: pytest.FixtureRequest, tiny: Engine) -> Iterator[Backend]:
    if request.param == "host":
        made: Backend = OnHost(tiny).backend
    else:
        made = real_backend(find_engine(DEFAULT_ENGINE))
    yield made
    made.close()


class TestTensorRt(BackendContract):
    """The contract: a tiny graph on host memory, the engine that is shipped on a GPU."""


def test_rows_are_those_of_the_cpu_to_the_last_bit() -> None:
    engine, images = load_engine(find_engine(DEFAULT_ENGINE)), pictures(6)
    ours = OnHost(engine)
    theirs = load_openvino(engine, "fp32", 1, request_size=SIZE)
    (found,), (wanted,) = (b.predict([batch_of(images)]) for b in (ours.backend, theirs))
    np.testing.assert_array_equal(found.logits, wanted.logits)
    np.testing.assert_array_equal(found.features, wanted.features)
    for backend in (ours.backend, theirs):
        backend.close()


@pytest.mark.parametrize("count", [SIZE, 2 * SIZE])
def test_whole_requests_are_read_where_the_decoder_left_them(on_host: OnHost, count: int) -> None:
    images = pictures(count)
    batch = on_host.batch(images)
    (scored,) = on_host.backend.predict([batch])
    lies_at = batch.images.pointer  # type: ignore[attr-defined]
    wanted = [lies_at + first * IMAGE for first in range(0, count, SIZE)]
    assert on_host.engine.inputs == wanted
    np.testing.assert_array_equal(scored.logits, scores(on_host.backend, images))


@pytest.mark.parametrize(("count", "shift"), [(1, 0), (SIZE - 1, 0), (SIZE, 16), (SIZE + 3, 0)])
def test_what_cannot_be_read_in_place_is_copied_and_scored_alike(
    on_host: OnHost, count: int, shift: int
) -> None:
    images = pictures(count)
    batch = on_host.batch(images, shift=shift)
    (scored,) = on_host.backend.predict([batch])
    assert on_host.engine.inputs[-1] != batch.images.pointer  # type: ignore[attr-defined]
    np.testing.assert_array_equal(scored.logits, scores(on_host.backend, images))


def test_images_of_host_and_device_share_requests(on_host: OnHost) -> None:
    images = pictures(15)
    cuts = [(0, 3), (3, 4), (4, 9), (9, 9), (9, 13), (13, 15)]

    def batches() -> Iterator[Batch]:
        for k, (start, end) in enumerate(cuts):
            make = on_host.batch if k % 2 and start < end else batch_of
            yield make(images[start:end], start)

    scored = list(on_host.backend.predict(batches()))
    assert [len(one.logits) for one in scored] == [end - start for start, end in cuts]
    assert on_host.engine.queued == -(-15 // SIZE)
    found = np.concatenate([one.logits for one in scored])
    np.testing.assert_array_equal(found, scores(on_host.backend, images))


def test_pixels_are_waited_for(on_host: OnHost) -> None:
    device, images = on_host.device, pictures(SIZE)
    go = threading.Event()
    with device.current():
        decoder = device.stream()
        decoder.submit(lambda: go.wait(HANGS_S))
        ready = decoder.record()
    there = device.decoded(images, ready=ready)
    batch = Batch(np.arange(SIZE), there, ["dali-gpu"] * SIZE, [""] * SIZE)

    def batches() -> Iterator[Batch]:
        yield batch
        assert not ready.passed.is_set()
        go.set()

    (scored,) = on_host.backend.predict(batches())
    np.testing.assert_array_equal(scored.logits, scores(on_host.backend, images))
    with device.current():
        decoder.synchronize()
        decoder.close()


def test_the_next_request_is_queued_before_the_first_is_computed(tiny: Engine) -> None:
    go = threading.Event()

    def before() -> None:
        assert go.wait(HANGS_S), "the second request was not queued while the first was at work"

    made, images = OnHost(tiny, before=before), pictures(2 * SIZE)

    def batches() -> Iterator[Batch]:
        yield batch_of(images[:SIZE])
        yield batch_of(images[SIZE:], SIZE)
        assert made.engine.queued == 2
        go.set()

    found = [one.logits for one in made.backend.predict(batches())]
    np.testing.assert_array_equal(np.concatenate(found), scores(made.backend, images))
    made.backend.close()


@pytest.mark.parametrize("sizes", [[1, 0, 0, 0, 0, 0, 0], [1] * 9, [SIZE] * 9, [3, 2, 7, 1, 4]])
@pytest.mark.parametrize("slots", [1, 2])
def test_it_takes_no_more_batches_than_holds_before_it_yields_one(
    tiny: Engine, sizes: list[int], slots: int
) -> None:
    made, images = OnHost(tiny, slots=slots), pictures(sum(sizes))
    ends = np.cumsum(sizes)
    taken = 0

    def batches() -> Iterator[Batch]:
        nonlocal taken
        for size, end in zip(sizes, ends, strict=True):
            assert taken - len(scored) <= made.backend.holds
            taken += 1
            yield batch_of(images[end - size : end], end - size)

    scored: list[Scored] = []
    for one in made.backend.predict(batches()):
        scored.append(one)
    found = np.concatenate([one.logits for one in scored])
    np.testing.assert_array_equal(found, scores(made.backend, images))
    made.backend.close()


def test_a_run_that_is_broken_off_leaves_nothing_in_the_next_one(on_host: OnHost) -> None:
    images = pictures(9)
    broken = on_host.backend.predict(batch_of(images[k : k + 3], k) for k in (0, 3, 6))
    next(broken)
    broken.close()
    wanted = OnHost(on_host.engine._engine)
    np.testing.assert_array_equal(scores(on_host.backend, images), scores(wanted.backend, images))
    wanted.backend.close()


def test_a_device_that_fails_is_an_error_and_everything_is_given_back(tiny: Engine) -> None:
    def broken() -> None:
        raise RuntimeError("Xid 79")

    made = OnHost(tiny, before=broken)
    with pytest.raises(DeviceLost, match="Xid 79"):
        scores(made.backend, pictures(9))
    with pytest.raises(DeviceLost, match="Xid 79"):
        made.backend.close()
    # It fails if something was leaked.
    made.device.close()


def test_images_of_another_size_are_refused_before_a_pointer_is_followed(on_host: OnHost) -> None:
    there = on_host.device.decoded(pictures(2)[:, :100])
    batch = Batch(np.arange(2), there, ["dali-gpu"] * 2, [""] * 2)
    with pytest.raises(ValueError, match=r"\(2, 100, 224, 3\), wanted \(2, 224, 224, 3\)"):
        next(on_host.backend.predict([batch]))
    fewer = Batch(np.arange(2), DeviceImages(0, (1, 224, 224, 3), None), [""] * 2, [""] * 2)
    with pytest.raises(ValueError, match=r"\(1, 224, 224, 3\), wanted \(2,"):
        next(on_host.backend.predict([fewer]))


def seeded_no_wait(slot: Slot) -> dict[str, np.ndarray]:
    slot._event, slot.filled = None, 0
    return {name: pinned.read() for name, (_, pinned) in slot._outputs.items()}


def seeded_no_synchronize(slot: Slot) -> None:
    slot._owned.pop_all()


@pytest.mark.parametrize(
    ("method", "seeded", "says"),
    [
        ("finish", seeded_no_wait, "read before the event"),
        ("close", seeded_no_synchronize, "leaked: .* device memory, .* page-locked .* 2 streams"),
    ],
)
def test_a_backend_that_cuts_a_corner_is_a_fault(
    tiny: Engine,
    method: str,
    seeded: Callable[[Slot], object],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Slot, method, seeded)

    def run() -> None:
        made = OnHost(tiny)
        scores(made.backend, pictures(9))
        made.backend.close()

    with pytest.raises(Fault, match=says):
        run()


def test_a_backend_that_works_without_the_context_is_a_fault(
    on_host: OnHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    with monkeypatch.context() as patch:
        patch.setattr(on_host.device, "current", nullcontext)
        with pytest.raises(Fault, match="without the device's context"):
            scores(on_host.backend, pictures(1))
