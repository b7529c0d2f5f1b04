"""AdamW as Keras has it, but for a rate a weight; the average of weights; the learning rate."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hambatch.training.finetuning.optimizer import AdamW, Average, TrainedWeight, one_cycle

START = np.array([[0.5, -1.0, 2.0]], np.float32)


def gradient(step: int) -> np.ndarray:
    return np.random.default_rng(step).normal(size=START.shape).astype(np.float32)


def after_steps(rate: float, decays: bool) -> np.ndarray:
    weight = TrainedWeight("w", tf.Variable(START, trainable=False), rate, decays)
    adamw = AdamW([weight], weight_decay=0.1)
    for step in range(1, 8):
        numbers = [np.float32(value) for value in (1e-2, *adamw.corrections(step))]
        adamw.apply([gradient(step)], *numbers)
    return weight.variable.numpy()


def by_keras(rate: float, weight_decay: float) -> np.ndarray:
    variable = keras.Variable(START)
    optimizer = keras.optimizers.AdamW(1e-2 * rate, weight_decay=weight_decay)
    for step in range(1, 8):
        optimizer.apply([tf.constant(gradient(step))], [variable])
    return variable.numpy()


@pytest.mark.parametrize("rate", [1.0, 0.4])
@pytest.mark.parametrize("decays", [True, False])
def test_it_steps_as_keras_does_at_that_rate(rate: float, decays: bool) -> None:
    wanted = by_keras(rate, 0.1 if decays else 0.0)
    np.testing.assert_allclose(after_steps(rate, decays), wanted, rtol=1e-5)
    assert np.abs(wanted - START).min() > 1e-3


def test_the_average_follows_soon_at_first_and_slowly_later() -> None:
    weight = TrainedWeight("w", tf.Variable([0.0], trainable=False), 1.0, True)
    average = Average([weight], 0.995)
    weight.variable.assign([1.0])
    average.update(np.float32(average.decay_at(1)))
    assert average.values[0].numpy() == pytest.approx(9 / 11)
    assert average.decay_at(100) < average.decay_at(10_000) == 0.995


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
