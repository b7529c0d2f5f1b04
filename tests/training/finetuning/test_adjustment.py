"""Logit adjustment: shares of the views, and what they take out of the scores."""

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.training.finetuning.sampling import adjustment

LABELS = np.repeat(np.arange(7), [16, 16, 64, 4, 64, 400, 4])


def test_it_is_the_logarithm_of_what_a_class_is_drawn() -> None:
    of_sqrt = np.array([4, 4, 8, 2, 8, 20, 2]) / 48
    np.testing.assert_allclose(adjustment(LABELS, "sqrt", 1.0), np.log(of_sqrt), atol=0.03)
    plain = adjustment(LABELS, "none", 0.5)
    np.testing.assert_allclose(plain, 0.5 * np.log(np.bincount(LABELS) / len(LABELS)), rtol=1e-6)


def test_classes_that_are_drawn_alike_are_left_as_they_are() -> None:
    assert np.ptp(adjustment(LABELS, "full", 1.0)) < 0.02


def test_without_strength_nothing_is_added() -> None:
    assert not adjustment(LABELS, "sqrt", 0.0).any()


def test_a_class_that_a_round_leaves_out_stays_finite() -> None:
    labels = np.repeat(np.arange(7), [1, 1, 1, 1, 1, 1, 40_000])
    assert np.isfinite(adjustment(labels, "none", 1.0)).all()


def test_a_class_without_an_image_is_refused() -> None:
    with pytest.raises(InputError, match="vasc"):
        adjustment(LABELS[:-4], "sqrt", 1.0)
