"""Streams drawn at once: nothing is lost, and the first trouble ends them all."""

import threading
from collections.abc import Iterator

import pytest

from hambatch.score.runner import side_by_side


def never() -> None:
    raise AssertionError("abandoned for no reason")


def test_all_items_of_all_streams_come_each_streams_in_order() -> None:
    found = list(side_by_side([iter(range(0, 50)), iter(range(100, 130)), iter([])], never))
    assert [item for item in found if item < 100] == [*range(50)]
    assert [item for item in found if item >= 100] == [*range(100, 130)]


def test_a_single_stream_is_drawn_on_the_callers_thread() -> None:
    def stream() -> Iterator[int]:
        yield threading.get_ident()

    assert list(side_by_side([stream()], never)) == [threading.get_ident()]


def test_streams_are_drawn_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=10)

    def stream() -> Iterator[int]:
        both.wait()
        yield 1

    assert list(side_by_side([stream(), stream()], never)) == [1, 1]


class Endless:
    """A stream that goes on until it is abandoned, and says so."""

    def __init__(self) -> None:
        self.abandoned = threading.Event()

    def __iter__(self) -> Iterator[int]:
        while not self.abandoned.is_set():
            yield 0
        raise ConnectionError("abandoned")


def test_what_a_stream_raises_ends_the_others_and_is_raised() -> None:
    endless = Endless()

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        list(side_by_side([failing(), iter(endless)], endless.abandoned.set))
    assert endless.abandoned.is_set()


def test_whoever_stops_taking_ends_the_streams_too() -> None:
    before = set(threading.enumerate())
    endless = Endless()
    taken = side_by_side([iter(endless), iter(endless)], endless.abandoned.set)
    assert next(taken) == 0
    assert len(set(threading.enumerate()) - before) == 2
    taken.close()
    assert endless.abandoned.is_set()
    assert not set(threading.enumerate()) - before


def test_what_is_raised_is_what_was_raised_first_in_time_whichever_streams_it_was() -> None:
    endless = Endless()

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        list(side_by_side([iter(endless), failing()], endless.abandoned.set))
