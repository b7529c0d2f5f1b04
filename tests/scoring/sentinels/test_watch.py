"""Sentinels reach every slot, and a wrong answer stops the run and names its rows."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from hambatch.backends import runtime_of
from hambatch.engines.loading import Engine, load_engine
from hambatch.engines.sentinels import MeasuredOn, Sentinel, Sentinels
from hambatch.errors import SentinelError
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.scoring.sentinels.watch import SentinelWatch
from hambatch.scoring.worker.protocol import Answer
from hambatch.scoring.worker.supervisor import SupervisedWorker
from hambatch.sources.reading import Item
from hambatch.types import Failure
from tests.scoring.conftest import Inject

LOGITS = {f"sentinel_{k}.jpg": np.arange(7) * 0.1 * (k + 1) for k in range(4)}
IMAGE = np.zeros(7)
SLOTS = np.array([[0, slot, 0, 0] for slot in range(4)])


def softmax(logits: np.ndarray) -> tuple[float, ...]:
    powers = np.exp(logits)
    return tuple(float(p) for p in powers / powers.sum())


@pytest.fixture
def engine(tiny_engine: Path) -> Engine:
    """An engine that says of its pictures what LOGITS say; nothing here reads them."""
    pictures = tuple(Sentinel(name, softmax(logits)) for name, logits in LOGITS.items())
    runtime = runtime_of("openvino-fp32")
    where = MeasuredOn("openvino-fp32", "dali-cpu", "here", runtime)
    spec = Sentinels(pictures, measured_on=where)
    loaded = load_engine(tiny_engine)
    return dataclasses.replace(
        loaded, manifest=dataclasses.replace(loaded.manifest, sentinels=spec)
    )


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hambatch.scoring.sentinels.reference.instruction_set", lambda: "here")


def items_of(count: int) -> Iterable[Item]:
    return (Item(k, Path(f"/in/{k:05d}.jpg")) for k in range(count))


def is_sentinel(item: Item) -> bool:
    return item.index < 0


def answer(group: list[Item]) -> Answer:
    """What a sound machine says of a group."""
    logits = [LOGITS.get(item.path.name, IMAGE) for item in group]
    return Answer(
        np.array([item.index for item in group], np.int64),
        np.array(logits, np.float32).reshape(-1, 7),
        ["dali-cpu"] * len(group),
        [item.path.name for item in group],
        [],
    )


def spoilt(good: Answer, slot: int, by: float = 0.5) -> Answer:
    logits = good.logits.copy()
    if slot < len(logits):
        logits[slot, 0] += by
    return dataclasses.replace(good, logits=logits)


def failed(item: Item) -> Answer:
    failure = [Failure(item.index, "", "cannot be decoded")]
    return dataclasses.replace(answer([]), failures=failure)


def stopped_by(watch: SentinelWatch, groups: Iterable[list[Item]], say) -> tuple:
    """Answer groups until the watch objects: the error, and the images let through before."""
    passed: list[int] = []
    for number, group in enumerate(groups):
        try:
            passed += watch.check(say(number, group)).indices.tolist()
        except SentinelError as error:
            return error, passed
    raise AssertionError("the watch saw nothing")


def test_every_image_passes_once_and_in_order_whatever_is_added(engine: Engine) -> None:
    for size, every, count in [
        (1, 1, 5),
        (1, 3, 7),
        (2, 1, 9),
        (8, 3, 50),
        (32, 1, 200),
        (8, 1, 0),
    ]:
        watch = SentinelWatch(engine, size, every, "openvino-fp32")
        groups = list(watch.batches(items_of(count)))
        assert max(len(group) for group in groups) <= size
        assert all(groups)
        seen = [watch.check(answer(group)) for group in groups]
        assert [index for part in seen for index in part.indices.tolist()] == list(range(count))
        assert all(len(part.sha256) == len(part.logits) == len(part.indices) for part in seen)
        added = [item for group in groups for item in group if is_sentinel(item)]
        assert all(item.sentinel for item in added)
        assert watch.summary()["checked"] == len(added) == len({item.index for item in added})


def test_sentinels_come_first_alone_and_last_in_every_slot_that_was_used(
    engine: Engine,
) -> None:
    groups = list(SentinelWatch(engine, 8).batches(items_of(20)))
    assert [item.path.name for item in groups[0]] == list(LOGITS)
    assert len(groups[-1]) == 8
    assert all(is_sentinel(item) for item in groups[-1])
    short = list(SentinelWatch(engine, 8).batches(items_of(2)))
    assert [len(group) for group in short] == [4, 3, 3]


@pytest.mark.parametrize("every", [1, 3])
def test_every_slot_is_visited_once_in_as_many_sentinels_as_slots(
    engine: Engine, every: int
) -> None:
    size = 8
    groups = list(SentinelWatch(engine, size, every).batches(items_of(size * size * every * 2)))[
        1:-1
    ]
    full = [group for group in groups if len(group) == size]
    carrying = [group for group in full if any(map(is_sentinel, group))]
    assert abs(len(full) - every * len(carrying)) < every
    slots = [next(k for k, item in enumerate(g) if is_sentinel(item)) for g in carrying]
    for start in range(len(slots) - size):
        assert sorted(slots[start : start + size]) == list(range(size))
    assert slots[:size] != list(range(size))


def test_a_slot_that_is_always_wrong_makes_its_own_rows_suspect_and_no_other(
    engine: Engine,
) -> None:
    size, bad = 8, 5
    watch = SentinelWatch(engine, size)
    groups = list(watch.batches(items_of(200)))
    carried: list[int] = []

    def say(number: int, group: list[Item]) -> Answer:
        if bad < len(group) and not is_sentinel(group[bad]):
            carried.append(group[bad].index)
        return spoilt(answer(group), bad)

    error, passed = stopped_by(watch, groups, say)
    # Of the batch in which it came to light nothing was let through: all of it is suspect.
    last = [index for index in error.suspect if index not in passed]
    assert set(error.suspect) == set(carried) | set(last)
    assert len(last) == size - 1
    assert "in slot 5" in str(error)


def test_a_slot_that_goes_wrong_is_distrusted_since_its_last_good_sentinel(engine: Engine) -> None:
    size, bad, since = 4, 2, 20
    watch = SentinelWatch(engine, size)
    groups = list(watch.batches(items_of(200)))
    visits = [k for k, g in enumerate(groups) if len(g) > bad and is_sentinel(g[bad])]
    last_good = max(k for k in visits if k < since)
    found = next(k for k in visits if k >= since)
    error, _ = stopped_by(
        watch, groups, lambda k, g: spoilt(answer(g), bad) if k >= since else answer(g)
    )
    in_slot = [groups[k][bad].index for k in range(last_good + 1, found)]
    in_batch = [item.index for item in groups[found] if not is_sentinel(item)]
    assert error.suspect == sorted({*in_slot, *in_batch})


def test_a_slot_that_repeats_an_old_answer_is_found(engine: Engine) -> None:
    watch, bad = SentinelWatch(engine, 4), 2
    frozen: list[np.ndarray] = []

    def say(number: int, group: list[Item]) -> Answer:
        good = answer(group)
        if frozen and len(group) > bad:
            good.logits[bad] = frozen[0]
        elif number and len(group) > bad and is_sentinel(group[bad]):
            frozen.append(good.logits[bad].copy())
        return good

    error, passed = stopped_by(watch, watch.batches(items_of(300)), say)
    assert "in slot 2" in str(error)
    assert len(passed) < 100


def test_one_wrong_batch_stops_the_run_and_is_named(engine: Engine) -> None:
    watch = SentinelWatch(engine, 4, backend="openvino-fp32")

    def say(number: int, group: list[Item]) -> Answer:
        good = answer(group)
        wrong = np.roll(good.logits, 1, axis=1)
        return dataclasses.replace(good, logits=wrong) if number == 3 else good

    error, passed = stopped_by(watch, watch.batches(items_of(100)), say)
    # Before it, the slot that its sentinel was in is in doubt, and no other.
    assert error.suspect[-3:] == [6, 7, 8]
    assert len(error.suspect[:-3]) == 2
    assert passed == [0, 1, 2, 3, 4, 5]
    assert "in batch 4, of /in/00006.jpg to /in/00008.jpg" in str(error)
    assert f"hambatch engines verify {engine.folder}" in str(error)


def test_with_fewer_sentinels_all_rows_since_the_last_good_one_are_suspect(engine: Engine) -> None:
    watch = SentinelWatch(engine, 4, every=3)
    groups = list(watch.batches(items_of(100)))
    last = next(k for k in range(8, 100) if any(map(is_sentinel, groups[k])))
    good = max(k for k in range(last) if any(map(is_sentinel, groups[k])))
    slot = next(k for k, item in enumerate(groups[last]) if is_sentinel(item))
    error, _ = stopped_by(
        watch, groups, lambda k, g: spoilt(answer(g), slot) if k == last else answer(g)
    )
    since = [i.index for g in groups[good + 1 : last + 1] for i in g if not is_sentinel(i)]
    assert set(since) <= set(error.suspect)
    assert last - good == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("number", [0, 2])
def test_what_is_no_number_is_off(engine: Engine, value: float, number: int) -> None:
    def say(at: int, group: list[Item]) -> Answer:
        good = answer(group)
        logits = np.full_like(good.logits, value)
        return dataclasses.replace(good, logits=logits) if at == number else good

    watch = SentinelWatch(engine, 4)
    error, _ = stopped_by(watch, watch.batches(items_of(100)), say)
    assert "nan" in str(error)


@pytest.mark.parametrize("number", [0, 2])
def test_one_logit_of_minus_infinity_is_off(engine: Engine, number: int) -> None:
    def say(at: int, group: list[Item]) -> Answer:
        good = answer(group)
        logits = good.logits.copy()
        logits[:, 0] = -np.inf
        return dataclasses.replace(good, logits=logits) if at == number else good

    spec = dataclasses.replace(engine.manifest.sentinels, tolerance_elsewhere=1.0, tolerance=1.0)
    manifest = dataclasses.replace(engine.manifest, sentinels=spec)
    watch = SentinelWatch(dataclasses.replace(engine, manifest=manifest), 4)
    error, _ = stopped_by(watch, watch.batches(items_of(100)), say)
    assert "logit_akiec -inf" in str(error)


def test_a_sentinel_that_fails_stops_the_run(engine: Engine) -> None:
    watch = SentinelWatch(engine, 4)
    groups = list(watch.batches(items_of(30)))
    lost = next(item for item in groups[3] if is_sentinel(item))
    for group in groups[:3]:
        watch.check(answer(group))
    for item in groups[3]:
        if item is not lost:
            watch.check(answer([item]))
    with pytest.raises(SentinelError, match="cannot be decoded") as caught:
        watch.check(failed(lost))
    assert caught.value.suspect == [6, 7, 8]


def test_images_that_fail_shift_slots_and_nothing_else(engine: Engine) -> None:
    chance = np.random.default_rng(3)
    watch = SentinelWatch(engine, 4)
    done: list[int] = []
    for group in watch.batches(items_of(300)):
        bad = [item for item in group if not is_sentinel(item) and chance.random() < 0.3]
        failures = [Failure(item.index, "", "broken") for item in bad]
        good = answer([item for item in group if item not in bad])
        checked = watch.check(dataclasses.replace(good, failures=failures))
        assert checked.failures == failures
        done += [*checked.indices.tolist(), *(f.index for f in failures)]
    assert sorted(done) == list(range(300))


def test_after_a_lost_worker_answers_of_one_file_each_are_understood(engine: Engine) -> None:
    watch = SentinelWatch(engine, 4)
    groups = list(watch.batches(items_of(40)))
    parts = [[item] for group in groups[2:7] for item in group]
    done = [watch.check(answer(group)) for group in [*groups[:2], *parts, *groups[7:]]]
    assert [index for part in done for index in part.indices.tolist()] == list(range(40))
    assert watch.checked == sum(is_sentinel(item) for group in groups for item in group)


def test_what_is_remembered_does_not_grow_with_the_run(engine: Engine) -> None:
    watch = SentinelWatch(engine, 4)
    most = 0
    for group in watch.batches(items_of(4000)):
        # The first image of every group fails: the last slot is never scored in.
        first = next((item for item in group if not is_sentinel(item)), None)
        failures = [Failure(first.index, "", "broken")] if first else []
        good = answer([item for item in group if item is not first])
        watch.check(dataclasses.replace(good, failures=failures))
        assert len(watch._sent) == 0
        most = max(most, len(watch._ledger.suspects(SLOTS)))
    assert most <= 4 * 2 * 4


def test_a_slot_whose_sentinels_shift_away_gets_one_before_long(engine: Engine) -> None:
    watch, unseen = SentinelWatch(engine, 4), 0
    for group in watch.batches(items_of(400)):
        # Whenever slot 2 would hold a sentinel, the image before it fails.
        at = 2 if len(group) > 2 and is_sentinel(group[2]) and not is_sentinel(group[1]) else None
        kept = [item for k, item in enumerate(group) if at is None or k != at - 1]
        failures = [Failure(group[1].index, "", "broken")] if at else []
        watch.check(dataclasses.replace(answer(kept), failures=failures))
        unseen = 0 if len(kept) > 2 and is_sentinel(kept[2]) else unseen + 1
        assert unseen <= 12


def test_the_first_answers_are_held_against_the_engine(engine: Engine) -> None:
    def off(by: float, backend: str) -> SentinelWatch:
        watch = SentinelWatch(engine, 4, backend=backend)
        watch.check(spoilt(answer(next(iter(watch.batches(items_of(3))))), 0, by))
        return watch

    same = off(0.0001, "openvino-fp32").summary()
    assert same["reference"] == "engine"
    assert same["tolerance_at_start"] == 1e-4
    assert 0 < same["deviation_at_start"] < 1e-4
    with pytest.raises(SentinelError, match=r"within 1e-04 \(the engine's record\)"):
        off(0.003, "openvino-fp32")
    assert off(0.003, "keras-fp32").summary()["tolerance_at_start"] == 5e-4
    with pytest.raises(SentinelError, match="within 5e-04"):
        off(0.01, "keras-fp32")
    # Another precision is another answer: only the run itself can be the reference.
    assert off(0.01, "openvino-int8").summary()["reference"] == "first pass of this run"


def test_later_answers_are_held_against_the_first_of_the_run(engine: Engine) -> None:
    watch = SentinelWatch(engine, 4, backend="keras-fp32")

    def say(number: int, group: list[Item]) -> Answer:
        shifted = spoilt(answer(group), 0, 0.003) if number == 0 else answer(group)
        return shifted

    error, _ = stopped_by(watch, watch.batches(items_of(100)), say)
    assert "within 1e-04 (its first answer of this run)" in str(error)


def test_an_engine_without_sentinels_is_held_against_itself(tiny_engine: Path) -> None:
    engine = load_engine(tiny_engine)
    with SentinelWatch(engine, 4) as watch:
        groups = list(watch.batches(items_of(20)))
        places = {item.path for item in groups[0]}
        assert all(path.is_file() for path in places)
        for group in groups[:3]:
            watch.check(answer(group))
        with pytest.raises(SentinelError, match="its first answer of this run"):
            watch.check(spoilt(answer(groups[-1]), 1))
        assert watch.summary()["reference"] == "first pass of this run"
        assert watch.summary()["deviation_at_start"] is None
    assert not any(path.exists() for path in places)


# A slot, or a batch, that is answered wrongly.
WRONG = """
from hambatch.backends.openvino_cpu import OpenVinoBackend
real = OpenVinoBackend.predict
def predict(self, batches):
    for number, scored in enumerate(real(self, batches)):
        if {condition}:
            fired()
            scored.logits[{slots}] = scored.logits[{slots}, ::-1].copy()
        yield scored
OpenVinoBackend.predict = predict
"""


@pytest.mark.parametrize(
    ("condition", "slots", "said"),
    [
        ("False", ":", ""),
        ("len(scored.logits) > 2", "2", r"in request \d, row \d"),
        ("number == 3", ":", "in batch 4, of "),
    ],
)
def test_a_backend_that_answers_wrongly_is_found_in_a_real_worker(
    tiny_engine: Path,
    images: Path,
    inject: Inject,
    condition: str,
    slots: str,
    said: str,
) -> None:
    items = [Item(k, path) for k, path in enumerate(sorted(images.rglob("*.jpg")))]
    if said:
        inject(WRONG.format(condition=condition, slots=slots))
    job = plan_run(tiny_engine, ScoreOptions(batch_size=5)).job

    def run() -> int:
        with (
            SupervisedWorker(job) as worker,
            SentinelWatch(load_engine(tiny_engine), 5, backend=job.backend_name) as watch,
        ):
            answers = worker.answers(watch.batches(items))
            return sum(len(watch.check(answer).indices) for answer in answers)

    if not said:
        assert run() == len(items)
        return
    with pytest.raises(SentinelError, match=said) as caught:
        run()
    assert caught.value.suspect


def test_a_process_that_stays_gets_all_sentinels_once_and_every_call_proves_its_slots(
    engine: Engine,
) -> None:
    watch = SentinelWatch(engine, 8, stays=True)
    sizes = []
    for count in (1, 3, 1):
        proven: list[int] = []
        for batch in watch.batches(items_of(count)):
            sizes.append([is_sentinel(item) for item in batch].count(True))
            watch.check(answer(batch))
            proven += watch.proven()
        assert sorted(proven) == list(range(count))
    # All four; then in each call one among the images, and one in every slot.
    assert sizes == [4, 1, 2, 1, 4, 1, 2]


def test_what_an_earlier_call_left_is_not_proven_by_the_next(engine: Engine) -> None:
    watch = SentinelWatch(engine, 8, stays=True)
    left = watch.batches(items_of(3))
    next(left)
    watch.check(answer(next(left)))
    proven: list[int] = []
    for batch in watch.batches([Item(7, Path("/in/other.jpg"))]):
        watch.check(answer(batch))
        proven += watch.proven()
    assert proven == [7]


def test_sentinels_in_every_slot_prove_all_images_when_it_is_time(engine: Engine) -> None:
    watch = SentinelWatch(engine, 4)
    batches = watch.batches(items_of(30))
    watch.check(answer(next(batches)))
    for _ in range(3):
        watch.check(answer(next(batches)))
    watch.prove_soon()
    watch.check(answer(next(batches)))
    assert sorted(watch.proven()) == list(range(9))
    assert watch._ledger.suspects(SLOTS) == []
