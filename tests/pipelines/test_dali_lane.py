"""Large pictures are decoded a few at a time, whatever the size of their batch."""

import numpy as np
import pytest

from hambatch.pipelines import dali_lane
from hambatch.pipelines.dali_lane import DaliLane, chunk_pixels, chunks_of
from hambatch.pipelines.header import FAST_PIXELS
from tests.conftest import jpeg_bytes
from tests.pipelines.lanes import HOW, SPEC, files_of

PIXELS = 96 * 72


def test_a_chunk_holds_what_fits_and_at_least_one_file() -> None:
    files = files_of([jpeg_bytes(k) for k in range(7)])
    cut = list(chunks_of(files, 3 * PIXELS))
    assert [[f.index for f in chunk.files] for chunk in cut] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [chunk.pixels for chunk in cut] == [3 * PIXELS, 3 * PIXELS, PIXELS]
    assert [len(chunk.files) for chunk in chunks_of(files, 1)] == [1] * 7
    assert not list(chunks_of([], 1))


def test_usual_pictures_are_not_cut_up_and_the_largest_fast_ones_keep_every_thread_busy() -> None:
    assert 64 * 600 * 450 < chunk_pixels(1)
    assert chunk_pixels(16) == 32 * FAST_PIXELS


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dali_lane, "chunk_pixels", lambda threads: 2 * PIXELS)


@pytest.mark.usefixtures("small_chunks")
def test_batches_in_chunks_come_back_whole_and_in_order() -> None:
    files = files_of([jpeg_bytes(k) for k in range(12)])
    whole = DaliLane(12, 2, SPEC, HOW)
    whole._most_pixels = 12 * PIXELS
    whole.feed(files)
    expected = whole.collect()[1]
    calls: list[int] = []
    lane = DaliLane(12, 2, SPEC, HOW, alive=lambda: calls.append(1))
    for batch in (files[:5], files[5:6], files[6:]):
        lane.feed(batch)
    found = [lane.collect() for _ in range(3)]
    assert [indices.tolist() for indices, _ in found] == [[*range(5)], [5], [*range(6, 12)]]
    np.testing.assert_array_equal(np.concatenate([images for _, images in found]), expected)
    assert len(calls) == 3 + 1 + 3
    lane.close()


@pytest.mark.usefixtures("small_chunks")
def test_never_more_than_two_chunks_are_being_decoded() -> None:
    lane = DaliLane(8, 2, SPEC, HOW)
    files = files_of([jpeg_bytes(k) for k in range(8)])
    started: list[int] = []
    real = lane._pipe.schedule_run

    def schedule_run() -> None:
        real()
        started.append(sum(lane._running) + 2 * PIXELS)

    lane._pipe.schedule_run = schedule_run
    lane.feed(files)
    lane.feed(files)
    for _ in range(2):
        assert lane.collect()[0].tolist() == [*range(8)]
    assert max(started) == 4 * PIXELS
    assert len(started) == 8


@pytest.mark.usefixtures("small_chunks")
def test_a_refused_chunk_refuses_its_batch_and_no_other() -> None:
    lane = DaliLane(6, 2, SPEC, HOW)
    whole = jpeg_bytes(9)
    broken = whole[: whole.index(b"\xff\xda")] + b"\xff\xd9"
    batch = files_of([jpeg_bytes(0), jpeg_bytes(1), broken, *(jpeg_bytes(k) for k in (3, 4, 5))])
    lane.feed(batch)
    lane.feed(batch[3:])
    with pytest.raises(RuntimeError):
        lane.collect()
    assert lane.collect()[0].tolist() == [3, 4, 5]
    lane.close()


@pytest.mark.usefixtures("small_chunks")
def test_what_waits_is_dropped_when_the_lane_closes() -> None:
    lane = DaliLane(8, 2, SPEC, HOW)
    lane.feed(files_of([jpeg_bytes(k) for k in range(8)]))
    lane.close()
    assert not lane._running
    assert not lane._waiting
