"""Large pictures are decoded a few at a time, whatever the size of their group."""

import numpy as np
import pytest

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines import dali_lane as dali_scoring
from hambatch.pipelines.dali_lane import DaliScoring, portion_pixels, portions
from hambatch.pipelines.header import FAST_PIXELS
from hambatch.sources.reading import Fetched
from tests.conftest import jpeg_bytes

SPEC, HOW = InputSpec(), Preprocessing()
PIXELS = 96 * 72


def files_of(contents: list[bytes]) -> list[Fetched]:
    return [Fetched(k, content, "") for k, content in enumerate(contents)]


def test_a_portion_holds_what_fits_and_at_least_one_file() -> None:
    files = files_of([jpeg_bytes(k) for k in range(7)])
    cut = list(portions(files, 3 * PIXELS))
    assert [[f.index for f in part.files] for part in cut] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [part.pixels for part in cut] == [3 * PIXELS, 3 * PIXELS, PIXELS]
    assert [len(part.files) for part in portions(files, 1)] == [1] * 7
    assert not list(portions([], 1))


def test_usual_pictures_are_not_cut_up_and_the_largest_fast_ones_keep_every_thread_busy() -> None:
    assert 64 * 600 * 450 < portion_pixels(1)
    assert portion_pixels(16) == 32 * FAST_PIXELS


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dali_scoring, "portion_pixels", lambda threads: 2 * PIXELS)


@pytest.mark.usefixtures("small_portions")
def test_groups_in_portions_are_answered_whole_and_in_order() -> None:
    files = files_of([jpeg_bytes(k) for k in range(12)])
    whole = DaliScoring(12, 2, SPEC, HOW)
    whole._most_pixels = 12 * PIXELS
    whole.feed(files)
    expected = whole.collect()[1]
    said: list[int] = []
    lane = DaliScoring(12, 2, SPEC, HOW, alive=lambda: said.append(1))
    for group in (files[:5], files[5:6], files[6:]):
        lane.feed(group)
    found = [lane.collect() for _ in range(3)]
    assert [indices.tolist() for indices, _ in found] == [[*range(5)], [5], [*range(6, 12)]]
    np.testing.assert_array_equal(np.concatenate([images for _, images in found]), expected)
    assert len(said) == 3 + 1 + 3
    lane.close()


@pytest.mark.usefixtures("small_portions")
def test_never_more_than_two_portions_are_being_decoded() -> None:
    lane = DaliScoring(8, 2, SPEC, HOW)
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


@pytest.mark.usefixtures("small_portions")
def test_a_refused_portion_refuses_its_group_and_no_other() -> None:
    lane = DaliScoring(6, 2, SPEC, HOW)
    whole = jpeg_bytes(9)
    broken = whole[: whole.index(b"\xff\xda")] + b"\xff\xd9"
    group = files_of([jpeg_bytes(0), jpeg_bytes(1), broken, *(jpeg_bytes(k) for k in (3, 4, 5))])
    lane.feed(group)
    lane.feed(group[3:])
    with pytest.raises(RuntimeError):
        lane.collect()
    assert lane.collect()[0].tolist() == [3, 4, 5]
    lane.close()


@pytest.mark.usefixtures("small_portions")
def test_what_waits_is_dropped_when_the_lane_closes() -> None:
    lane = DaliScoring(8, 2, SPEC, HOW)
    lane.feed(files_of([jpeg_bytes(k) for k in range(8)]))
    lane.close()
    assert not lane._running
    assert not lane._waiting
