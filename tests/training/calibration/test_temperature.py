"""The temperature that is found is the one that the truth was drawn with."""

import numpy as np
import pytest
from numpy.typing import NDArray

from hambatch.engines.probabilities import softmax, tempered
from hambatch.training.temperature import fit_temperature, floored, improvements

Drawn = tuple[NDArray[np.float64], NDArray[np.int64]]


def drawn(temperature: float, images: int, seed: int = 0) -> Drawn:
    """Rounded softmax of logits, and a truth that has the odds of them at that temperature."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (images, 7)).astype(np.float32)
    sums = softmax(logits.astype(np.float64) / temperature).cumsum(axis=1)
    truth = (sums < draw.random((images, 1))).sum(axis=1).clip(0, 6)
    return softmax(logits).round(6), truth.astype(np.int64)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    assert fit_temperature(*drawn(temperature, 40_000)) == pytest.approx(temperature, rel=0.02)


def test_no_other_temperature_has_a_smaller_loss() -> None:
    values, truth = drawn(1.7, 300)
    found = fit_temperature(values, truth)
    assert found is not None

    def loss(temperature: float) -> float:
        p = tempered(floored(values), temperature)
        return float(-np.log(p[np.arange(300), truth]).mean())

    grid = np.exp(np.linspace(np.log(0.06), np.log(19), 2000))
    assert loss(found) <= min(map(loss, grid)) + 1e-12


def test_the_order_of_the_images_changes_nothing() -> None:
    values, truth = drawn(1.7, 500)
    assert fit_temperature(values[::-1], truth[::-1]) == fit_temperature(values, truth)


def test_an_image_called_impossible_does_not_make_the_loss_infinite() -> None:
    values, truth = drawn(1.7, 300)
    values[0], truth[0] = np.eye(7)[2], 5
    found = fit_temperature(values, truth)
    assert found is not None
    assert np.isfinite(improvements(values, truth, np.arange(300), found)["log_loss"].after)


def test_predictions_that_are_all_right_or_of_no_use_have_no_temperature() -> None:
    values, _ = drawn(1.0, 200)
    assert fit_temperature(values, values.argmax(axis=1)) is None
    assert fit_temperature(values, values.argmin(axis=1)) is None


def test_the_calibration_error_of_an_overconfident_table_falls() -> None:
    values, truth = drawn(3.0, 2000)
    found = fit_temperature(values, truth)
    assert found is not None
    changed = improvements(values, truth, np.arange(2000) // 2, found)
    assert changed["ece"].before > 0.2
    assert changed["ece"].after < 0.05
    assert changed["log_loss"].after < changed["log_loss"].before
    for figure in changed.values():
        assert figure.before_interval[0] < figure.before < figure.before_interval[1]
        # An error is never below 0, so what chance adds lifts the interval of a small one.
        assert figure.after < figure.after_interval[1] < figure.before_interval[0]
