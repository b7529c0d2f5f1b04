"""A process that starts ahead of its job is the first worker's, and is gone if nobody needs it."""

from pathlib import Path

import pytest

from hambatch.errors import InputError
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.scoring.worker.process import Worker
from hambatch.scoring.worker.spawned import _AHEAD, started_ahead
from hambatch.sources.reading import Item


def test_the_first_worker_takes_it_and_the_second_starts_its_own(
    images: Path, tiny_engine: Path
) -> None:
    job = plan_run(tiny_engine, ScoreOptions(engine=str(tiny_engine), batch_size=4)).job
    with started_ahead():
        ahead = _AHEAD[0].process.pid
        with Worker(job, 30) as first, Worker(job, 30) as second:
            assert first._process.pid == ahead != second._process.pid
            (answer,) = first.answers([[Item(0, images / "picture_00.jpg")]])
            (other,) = second.answers([[Item(0, images / "picture_00.jpg")]])
    assert answer.logits.tolist() == other.logits.tolist()


def test_it_has_ended_when_nobody_took_it() -> None:
    with started_ahead():
        (ahead,) = _AHEAD
    assert not ahead.process.is_alive()


def test_it_has_ended_when_the_run_was_refused() -> None:
    begun = []

    def refused() -> None:
        with started_ahead():
            begun.extend(_AHEAD)
            raise InputError("no images")

    with pytest.raises(InputError):
        refused()
    assert [one.process.is_alive() for one in begun] == [False]
