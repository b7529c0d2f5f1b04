"""A request is computed a second time in another place, and every difference is found."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hambatch.backends.double_check import SecondScores
from hambatch.backends.openvino_cpu import REQUEST_SIZE, OpenVinoBackend, load
from hambatch.engines.loading import load_engine
from tests.backends.contract import batch_of, pictures, scores
from tests.backends.tensorrt.on_host import SIZE, OnHost
from tests.engines.int8_engine import with_int8

SIZES = [3, 0, 9, 1, 17]


@pytest.fixture(scope="module")
def engine(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_int8(tiny_engine, tmp_path_factory.mktemp("both") / "tiny")


@pytest.mark.parametrize(("precision", "streams"), [("fp32", 2), ("int8", 2), ("int8", 1)])
def test_the_second_time_is_in_another_lane_copy_and_place(
    precision: str, streams: int, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, start = [], OpenVinoBackend._start

    def note(self: OpenVinoBackend, request: object) -> None:
        sent.append(request)
        start(self, request)

    monkeypatch.setattr(OpenVinoBackend, "_start", note)
    backend, images = load(load_engine(engine), precision, streams, double_check=100), pictures(30)
    cuts = np.cumsum([0, *SIZES])
    batches = [batch_of(images[a:b], a) for a, b in pairwise(cuts)]
    found = list(backend.predict(batches))
    assert [one.twice.images for one in found] == SIZES
    assert sum(one.twice.requests for one in found) == -(-30 // REQUEST_SIZE)
    assert not any(one.twice.differing for one in found)
    again = [request for request in sent if request.before is not None]
    assert len(again) == len(sent) / 2
    for request in again:
        assert request.slot != request.before
        copies = {backend._copies[request.slot], backend._copies[request.before]}
        assert len(copies) == (2 if (precision, streams) == ("int8", 2) else 1)
        for part in request.parts:
            place = (part.place + 1) % REQUEST_SIZE
            np.testing.assert_array_equal(request.images[place], part.images[0])
    backend.close()
    once = load(load_engine(engine), precision, streams)
    np.testing.assert_array_equal(
        np.concatenate([one.logits for one in found]), scores(once, images)
    )
    once.close()


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_tensorrt_computes_requests_again_wherever_images_lie(
    slots: int, tiny_engine: Path
) -> None:
    made = OnHost(load_engine(tiny_engine), slots=slots, double_check=100)
    images = pictures(30)
    cuts = np.cumsum([0, *SIZES])
    batches = [
        (made.batch if k % 2 and b > a else batch_of)(images[a:b], a)
        for k, (a, b) in enumerate(pairwise(cuts))
    ]
    found = list(made.backend.predict(batches))
    assert [one.twice.images for one in found] == SIZES
    assert not any(one.twice.differing for one in found)
    assert made.engine.queued == 2 * -(-30 // SIZE)
    together = np.concatenate([one.logits for one in found])
    np.testing.assert_array_equal(together, scores(made.backend, images))
    made.backend.close()


def test_a_difference_of_one_bit_or_beyond_the_tolerance_is_found() -> None:
    logits = np.linspace(-4, 4, 35, dtype=np.float32).reshape(5, 7)
    second = SecondScores.of(5, 7)
    places = np.array([[0, 1, 2, 3]])
    for k, value in enumerate((logits[0], logits[1], np.float32(np.nan), logits[3] + 3e-3)):
        second.keep(k, np.broadcast_to(value, (1, 7)), places)
    second.logits.view(np.uint32)[1, 6] ^= 1
    exact, near = second.compared(logits), second.compared(logits, tolerance=1e-3)
    assert [one.slot for one in exact.differing] == [1, 2, 3]
    assert [one.slot for one in near.differing] == [2, 3]
    assert exact.images == 4
    assert exact.differing[0].where == "request 0, place 1; then request 2, place 3"


def test_a_share_of_the_requests_is_chosen_by_chance(tiny_engine: Path) -> None:
    backend = load(load_engine(tiny_engine), "fp32", 1, double_check=25)
    found = [next(iter(backend.predict([batch_of(pictures(80))]))).twice for _ in range(10)]
    # Of 200 requests; outside in one of a million tries.
    assert sum(one.requests for one in found) in range(22, 84)
    assert len({one.requests for one in found}) > 1
    backend.close()
