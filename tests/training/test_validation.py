"""Validation: its figures, and which of many is the best."""

from typing import NamedTuple

import numpy as np
import pytest

from hambatch.training.validation import best_of, lines_since_best, validate


class Line(NamedTuple):
    step: int
    val_balanced_accuracy: float


def lines(*accuracies):
    return [Line(k, value) for k, value in enumerate(accuracies, 1)]


def test_the_best_is_the_first_of_equals():
    assert best_of(lines(0.1, 0.5, 0.5, 0.4)).step == 2
    assert lines_since_best(lines(0.1, 0.5, 0.5, 0.4)) == 2
    assert lines_since_best(lines(0.1, 0.5)) == lines_since_best([]) == 0


def test_its_figures_are_those_of_the_logits_and_a_class_that_is_not_there_counts_nothing():
    logits = np.log(np.array([[6, 1, 1, 1, 1, 1, 1]] * 4, np.float32))
    found = validate(logits, np.array([0, 0, 0, 1]))
    assert found.val_accuracy == 0.75
    assert found.val_balanced_accuracy == 0.5
    assert found.val_loss == pytest.approx(-(3 * np.log(0.5) + np.log(1 / 12)) / 4)
