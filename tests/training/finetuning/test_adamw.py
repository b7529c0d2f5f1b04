"""AdamW as Keras has it, but for a rate a weight; and the average of weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from hambatch.training.finetuning.tuner import AdamW, Average, TrainedWeight

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
