"""Few sentinels, and still every image is proven: by its request and by its row."""

import dataclasses
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hambatch.backends.placing import Begun, Grid, Put, Turns, arranged
from hambatch.engines.loading import Engine, load_engine
from hambatch.engines.sentinels import Sentinel, Sentinels
from hambatch.errors import SentinelError
from hambatch.scoring.sentinels import batches as cutting
from hambatch.scoring.sentinels.own_answers import OwnAnswers
from hambatch.scoring.sentinels.watch import SentinelWatch
from hambatch.scoring.worker.protocol import Answer
from hambatch.sources.reading import Item
from hambatch.types import Failure

TWO_STREAMS = Grid(4, 4)
LOGITS = np.arange(7, dtype=np.float32)
KEPT = {k: (np.exp(LOGITS) / np.exp(LOGITS).sum(), LOGITS.astype(float)) for k in range(4)}


class Rows:
    """Places images in requests as the backend does; any free one takes a request of images."""

    def __init__(self, grid: Grid, seed: int) -> None:
        self.grid, self.turns, self.sent = grid, Turns(grid), 0
        self.requests: list[list[int]] = []
        self._chance = random.Random(seed)  # noqa: S311
        self._open: dict[int, tuple[np.ndarray, int]] = {}
        self._indices: dict[int, int] = {}
        self._target: int | None = None
        self._done, self._after, self.beside = 0, False, False

    def place(self, indices: np.ndarray, *, flush: bool = True) -> np.ndarray:
        places = np.full((len(indices), 1, 4), -1)
        for put in arranged(indices, Begun(list(self._open), self._target), self.turns):
            self._add(put, indices, places)
            if put.last or len(self._open) == self.grid.rows:
                self._send()
        if flush:
            self._send()
        return places

    def _add(self, put: Put, indices: np.ndarray, places: np.ndarray) -> None:
        assert not self._open.keys() & put.slots.keys()
        assert all(0 <= row < self.grid.rows for row in put.slots)
        self._target = self._target if put.target is None else put.target
        # Any of the requests in flight may end last.
        self._after = put.after or put.beside
        self.beside = self.beside or put.beside
        in_flight = 0 if self._after else self._chance.randrange(self.grid.requests)
        self._done = min(self._done, self.sent - 1 - in_flight)
        for row, slot in put.slots.items():
            self._open[row] = places, slot
            self._indices[row] = int(indices[slot])

    def _send(self) -> None:
        if not self._open:
            return
        any_of_them = self._chance.randrange(self.grid.requests)
        request = any_of_them if self._target is None else self._target
        for row, (places, slot) in self._open.items():
            places[slot, 0] = request, row, self.sent, self._done
        sentinels = [row for row, index in self._indices.items() if index < 0]
        self.turns.note(
            request, [*self._indices.keys() - set(sentinels)], sentinels, after=self._after
        )
        self.requests.append([index for _, index in sorted(self._indices.items())])
        self._open, self._indices, self._target = {}, {}, None
        self.sent += 1
        self._done = self.sent


@pytest.fixture
def engine(tiny_engine: Path) -> Engine:
    """An engine with sentinels, whose pictures nothing here reads."""
    loaded, softmax = load_engine(tiny_engine), KEPT[0][0]
    pictures = tuple(Sentinel(f"sentinel_{k}.jpg", tuple(softmax.tolist())) for k in KEPT)
    spec = Sentinels(pictures)
    return dataclasses.replace(
        loaded, manifest=dataclasses.replace(loaded.manifest, sentinels=spec)
    )


def warm(engine: Engine, size: int = 64, every: int = 1, **more) -> SentinelWatch:
    own = OwnAnswers()
    own.kept = KEPT
    return SentinelWatch(engine, size, every, own=own, **{"grid": TWO_STREAMS, **more})


def items_of(count: int) -> Iterator[Item]:
    return (Item(k, Path(f"/in/{k}.jpg")) for k in range(count))


def answered(group: list[Item], places: np.ndarray, failed: Iterable[int] = ()) -> Answer:
    """What a sound machine says, of all but the failed ones."""
    indices = np.array([item.index for item in group], np.int64)
    logits = np.tile(LOGITS, (len(group), 1))
    failures = [Failure(index, "", "broken") for index in failed]
    names = ["dali-cpu"] * len(group), [""] * len(group)
    return Answer(indices, logits, *names, failures, places=places)


def run(watch: SentinelWatch, rows: Rows, count: int, fails: float = 0.0) -> list[int]:
    """Score images on a sound machine, of which a share cannot be decoded; gives the proven."""
    chance, proven = random.Random(count), list[int]()  # noqa: S311
    for group in watch.batches(items_of(count)):
        bad = [item.index for item in group if item.index >= 0 and chance.random() < fails]
        good = [item for item in group if item.index not in bad]
        indices = np.array([item.index for item in good], np.int64)
        watch.check(answered(good, rows.place(indices), bad))
        proven += watch.proven()
    return sorted(proven)


def run_ahead(watch: SentinelWatch, rows: Rows, count: int, ahead: int) -> list[int]:
    """Score images by a machine that takes further batches before it answers one."""
    waiting, proven = list[tuple[list[Item], np.ndarray]](), list[int]()

    def answer_first() -> None:
        group, places = waiting.pop(0)
        if (places < 0).any():
            rows._send()
        watch.check(answered(group, places))
        proven.extend(watch.proven())

    for group in watch.batches(items_of(count)):
        indices = np.array([item.index for item in group], np.int64)
        waiting.append((group, rows.place(indices, flush=False)))
        if len(waiting) > ahead:
            answer_first()
    while waiting:
        answer_first()
    return sorted(proven)


@pytest.mark.parametrize("grid", [Grid(2, 4), TWO_STREAMS, Grid(8, 4)])
@pytest.mark.parametrize("size", [4, 5, 6, 7, 9, 64])
def test_images_of_several_batches_share_requests_and_all_are_proven(
    engine: Engine, grid: Grid, size: int
) -> None:
    for count in range(41):
        for ahead in (1, 3):
            watch = warm(engine, size, grid=grid)
            assert run_ahead(watch, Rows(grid, count), count, ahead) == list(range(count))


def test_only_a_run_of_one_request_has_sentinels_that_count_as_later(engine: Engine) -> None:
    for size in (4, 5, 6, 7, 64):
        for count in range(41):
            rows = Rows(TWO_STREAMS, 0)
            run_ahead(warm(engine, size), rows, count, 3)
            assert not rows.beside or 0 < count < 4


@pytest.mark.parametrize("grid", [Grid(2, 4), TWO_STREAMS, Grid(32, 4), Grid(3, 1)])
@pytest.mark.parametrize("size", [1, 2, 3, 8, 20, 64])
def test_every_image_is_proven_whatever_its_run_is_like(
    engine: Engine, grid: Grid, size: int
) -> None:
    for count in (0, 1, 3, 5, 9, 50, 65, 150):
        for every, fails in ((1, 0.0), (3, 0.5)):
            watch = warm(engine, size, every, grid=grid)
            assert run(watch, Rows(grid, count), count, fails) == list(range(count))
            assert not watch._ledger.suspects(np.zeros((0, 4), np.int64))


@pytest.mark.parametrize(
    ("images", "most"),
    [(0, 0), (1, 2), (3, 4), (50, 4), (150, 6), (300, 8), (500, 10), (10_000, 173)],
)
def test_sentinels_are_at_most_ten_or_two_in_a_hundred(
    engine: Engine, images: int, most: int
) -> None:
    watch, rows = warm(engine), Rows(TWO_STREAMS, 0)
    run(watch, rows, images)
    assert watch.checked == most
    assert most <= max(10, images * 0.02)
    # Beside the sentinels, six rows may stay empty, and what the last request of images lacks.
    rows = Rows(TWO_STREAMS, 0)
    for group in warm(engine).batches(items_of(images)):
        rows.place(np.array([item.index for item in group]), flush=False)
    assert rows.sent * 4 <= images + most + 6 + 3


def test_the_last_requests_hold_sentinels_and_images_and_one_is_in_every_request_and_row(
    engine: Engine,
) -> None:
    rows = Rows(TWO_STREAMS, 0)
    run(warm(engine), rows, 50)
    last = rows.requests[-4:]
    assert [sum(index >= 0 for index in request) for request in last] == [3, 2, 1, 0]
    assert all(sum(index < 0 for index in request) == 1 for request in last)


def test_a_machine_without_answers_of_its_own_begins_with_one_request_of_sentinels(
    engine: Engine,
) -> None:
    rows = Rows(TWO_STREAMS, 0)
    assert run(SentinelWatch(engine, 64, grid=TWO_STREAMS), rows, 50) == list(range(50))
    first, *others = rows.requests
    assert [index < 0 for index in first] == [True] * 4
    assert all(any(index >= 0 for index in request) for request in others[:-1])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 64])
def test_a_machine_keeps_answers_that_came_back_equal_a_second_time(
    engine: Engine, size: int
) -> None:
    for count in range(1, 8):
        own = OwnAnswers()
        watch = SentinelWatch(engine, size, grid=TWO_STREAMS, own=own)
        sent = list[int]()
        for group in watch.batches(items_of(count)):
            sent += [watch._sent[item.index].sentinel for item in group if item.index < 0]
            assert own.kept is None
            watch.check(answered(group, Rows(TWO_STREAMS, 0).place(np.array([-1] * len(group)))))
        # First all of them, once each.
        assert sorted(sent[:4]) == [0, 1, 2, 3]
        assert (own.kept is not None) == all(sent.count(k) > 1 for k in range(4))
        assert own.kept or size == 2


def test_an_answer_that_was_wrong_once_is_not_kept(engine: Engine) -> None:
    for count in (1, 2, 3, 9):
        own = OwnAnswers()
        watch = SentinelWatch(engine, 64, grid=TWO_STREAMS, own=own)
        rows = Rows(TWO_STREAMS, 0)

        def score(watch: SentinelWatch = watch, rows: Rows = rows, count: int = count) -> None:
            for number, group in enumerate(watch.batches(items_of(count))):
                answer = answered(group, rows.place(np.array([item.index for item in group])))
                off = np.zeros_like(answer.logits)
                off[0, 0] = 0.02 if number == 0 else 0.0
                watch.check(dataclasses.replace(answer, logits=answer.logits + off))

        with pytest.raises(SentinelError):
            score()
        assert own.kept is None


def test_a_long_run_ends_with_a_sentinel_in_every_row_of_every_request(engine: Engine) -> None:
    watch, seen = warm(engine), list[tuple[int, int]]()
    rows = Rows(TWO_STREAMS, 0)
    for group in watch.batches(items_of(4000)):
        indices = np.array([item.index for item in group])
        places = rows.place(indices)
        watch.check(answered(group, places))
        seen += [tuple(place) for place in places[indices < 0, 0, :2].tolist()]
    assert len(set(seen[-16:])) == 16
    # On the way, too, each of them is visited once in so many sentinels.
    assert len(set(seen[:16])) == 16


def test_an_image_needs_a_sentinel_in_its_request_and_one_in_its_row(engine: Engine) -> None:
    watch = warm(engine)
    one, other = (next(iter(watch.batches(items_of(1))))[1:] for _ in range(2))
    image = Item(7, Path("/in/7.jpg"))

    def proven_after(item: Item, request: int, row: int, number: int) -> list[int]:
        watch.check(answered([item], np.array([[[request, row, number, number - 1]]])))
        return watch.proven()

    assert proven_after(one[0], 2, 3, 4) == []
    assert proven_after(image, 2, 3, 5) == []
    # What came before does not count, and one of the two is not enough.
    assert proven_after(other[0], 2, 0, 6) == []
    third = next(iter(watch.batches(items_of(1))))[1]
    assert proven_after(third, 1, 3, 7) == [7]


def test_an_image_with_several_views_needs_them_all_proven(engine: Engine) -> None:
    watch = warm(engine, views=2)
    groups = list(watch.batches(items_of(1)))
    # Views are computed batch after batch: so the sentinels come after all of them.
    assert [len(group) for group in groups] == [1, 4]
    watch.check(answered(groups[0], np.array([[[0, 0, 0, 0], [1, 1, 1, 0]]])))
    proven = []
    for number, request, row in ((2, 0, 0), (3, 1, 2), (4, 2, 1), (5, 3, 3)):
        item = groups[1][number - 2]
        watch.check(answered([item], np.array([[[request, row, number, number - 1]]])))
        proven.append(watch.proven())
    assert proven == [[], [], [0], []]


def test_a_call_after_one_that_was_left_proves_its_images_all_the_same(engine: Engine) -> None:
    watch, rows = warm(engine, 8, stays=True), Rows(TWO_STREAMS, 0)
    left = watch.batches(items_of(100))
    for _ in range(5):
        rows.place(np.array([item.index for item in next(left)]))
    left.close()
    for _ in range(2):
        assert run(watch, rows, 1) == [0]
    assert watch.checked == 4 + 2


def test_a_wrong_sentinel_makes_its_request_and_its_row_suspect(engine: Engine) -> None:
    watch = warm(engine)
    places = np.array([[[k, k, k, k - 1]] for k in range(4)])
    watch.check(answered(list(items_of(4)), places))
    good, bad = next(iter(watch.batches(items_of(2))))[-2:]
    watch.check(answered([good], np.array([[[0, 0, 4, 3]]])))
    assert watch.proven() == [0]
    wrong = answered([bad], np.array([[[1, 3, 5, 4]]]))
    with pytest.raises(Exception, match="in request 1, row 3") as caught:
        watch.check(dataclasses.replace(wrong, logits=wrong.logits[:, ::-1]))
    assert caught.value.suspect == [1, 3]


def test_images_that_come_with_many_bytes_fill_a_batch_sooner(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutting, "BATCH_BYTES", 10)
    items = [Item(k, Path("x"), content=bytes(4)) for k in range(7)]
    groups = warm(engine, 8).batches(items)
    assert [sum(item.index >= 0 for item in group) for group in groups] == [3, 3, 1]
