"""The time that is left, by the pace of what is done; a line in the log now and then."""

import pytest

from hambatch.training import progress
from hambatch.training.progress import LOG_EVERY_S, Pace


@pytest.fixture
def clock(monkeypatch):
    """Seconds that tests set."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_rest_takes_as_long_as_the_same_work_took(clock):
    pace = Pace(90)
    clock[0] += 40.0
    assert pace.elapsed_s() == 40.0
    assert pace.left_s(20) == pytest.approx(70 * 2.0)
    assert pace.left_s(90) == 0


def test_a_line_is_due_once_in_a_while(clock):
    pace = Pace(90)
    due = []
    for _ in range(9):
        clock[0] += LOG_EVERY_S / 3
        due.append(pace.is_line_due())
    assert due == [False, False, True] * 3
