"""Requests of several images, which only `bench` makes, give the scores of single ones."""

from pathlib import Path

import numpy as np
import pytest

from hambatch.backends.openvino_cpu import load
from hambatch.bench.inference import Offline, Setting, SingleStream, cut, open_backend
from hambatch.engines.loading import load_engine
from hambatch.errors import InputError
from tests.backends.contract import batch_of, pictures, scores


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_padding_of_the_last_request_changes_no_score(tiny_engine: Path, count: int) -> None:
    engine, images = load_engine(tiny_engine), pictures(count)
    alone = load(engine, "fp32", 2)
    several = load(engine, "fp32", 2, request_size=4, threads_a_stream=2)
    np.testing.assert_allclose(scores(several, images), scores(alone, images), rtol=1e-4, atol=1e-4)
    alone.close()
    several.close()


def test_batches_come_back_in_order(tiny_engine: Path) -> None:
    backend, images = load(load_engine(tiny_engine), "fp32", 2, request_size=4), pictures(30)
    sizes, batches, start = [3, 0, 9, 4, 14], [], 0
    for size in sizes:
        batches.append(batch_of(images[start : start + size], start))
        start += size
    answers = list(backend.predict(batches))
    assert [len(answer.logits) for answer in answers] == sizes
    together = np.concatenate([answer.logits for answer in answers])
    np.testing.assert_allclose(together, scores(backend, images), rtol=1e-4, atol=1e-4)
    backend.close()


def test_images_go_round() -> None:
    images = pictures(3)
    batch = cut(images, 2, 5)
    np.testing.assert_array_equal(batch.images, images[[2, 0, 1, 2, 0]])
    assert batch.indices.tolist() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(("count", "scored"), [(70, 72), (5, 32)])
def test_a_turn_scores_the_wanted_images_in_whole_requests_and_some_for_every_stream(
    tiny_engine: Path, tmp_path: Path, count: int, scored: int
) -> None:
    np.save(tmp_path / "pixels.npy", pictures(5))
    setting = Setting("openvino", "fp32", 4, 1, 1)
    loaded = Offline(tiny_engine, setting, tmp_path / "pixels.npy", count).load()
    assert loaded.turn().images == scored
    loaded.close()


def test_latencies_end_with_their_time(tiny_engine: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", pictures(5))
    setting = Setting("openvino", "fp32", 2, 1, 1)
    loaded = SingleStream(tiny_engine, setting, tmp_path / "pixels.npy", 10**6, 0.3).load()
    turn = loaded.turn()
    assert 0.3 <= turn.seconds < 3
    assert 1 <= len(turn.samples_ms) < 10**6
    assert turn.images == 2 * len(turn.samples_ms)
    # Nearly all of the turn is the requests.
    assert sum(turn.samples_ms) / 1000 <= turn.seconds
    loaded.close()


def test_the_defaults_of_a_run_are_not_touched(tiny_engine: Path) -> None:
    plain = load(load_engine(tiny_engine), "fp32", 2)
    ours = open_backend(tiny_engine, Setting("openvino", "fp32", 1, 2, 1))
    images = pictures(5)
    np.testing.assert_array_equal(scores(plain, images), scores(ours, images))
    plain.close()
    ours.close()


def test_a_backend_with_requests_of_its_own_refuses_others(tiny_engine: Path) -> None:
    with pytest.raises(InputError, match="keras backend has its own request_size"):
        open_backend(tiny_engine, Setting("keras", "fp32", 3, 1, 1))
