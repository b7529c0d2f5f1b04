"""The learning rate rises in a line, falls smoothly, and is never 0 while steps are left."""

import numpy as np
import pytest

from hambatch.training.finetuning.tuner import one_cycle


def rates(steps: int, warmup: float) -> np.ndarray:
    return np.array([one_cycle(step, steps, warmup) for step in range(1, steps + 1)])


def test_it_rises_in_a_line_to_the_peak_and_then_falls_to_nearly_nothing() -> None:
    found = rates(100, 0.1)
    np.testing.assert_allclose(found[:10], np.linspace(0.1, 1, 10))
    assert (np.diff(found[9:]) < 0).all()
    assert 0 < found[-1] < 1e-3


def test_half_way_down_it_is_half_the_peak() -> None:
    assert one_cycle(55, 99, 0.1) == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.0), (1, 0.9), (2, 0.0), (3, 0.99)])
def test_every_step_of_the_shortest_runs_learns(steps: int, warmup: float) -> None:
    assert ((rates(steps, warmup) > 0) & (rates(steps, warmup) <= 1)).all()
