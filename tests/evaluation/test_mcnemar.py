import numpy as np
import pytest
from scipy.stats import binomtest

from hambatch.evaluation.bootstrap import mcnemar


def right(only_first, only_second, both=5):
    """Which of the images each of two predictions calls right."""
    first = np.repeat([True, False, True, False], [only_first, only_second, both, 3])
    second = np.repeat([False, True, True, False], [only_first, only_second, both, 3])
    return first, second


@pytest.mark.parametrize(("first", "second"), [(1, 0), (3, 9), (12, 12), (40, 61), (700, 620)])
def test_it_is_the_exact_binomial_test(first, second):
    found = mcnemar(*right(first, second))
    assert (found["only_first_right"], found["only_second_right"]) == (first, second)
    assert found["p_value"] == pytest.approx(binomtest(first, first + second).pvalue)


def test_images_that_both_call_right_or_wrong_change_nothing():
    assert mcnemar(*right(4, 11, both=0)) == mcnemar(*right(4, 11, both=500))


def test_no_difference_at_all_is_no_evidence():
    assert mcnemar(*right(0, 0))["p_value"] == 1


def test_thousands_of_differences_do_not_overflow():
    assert mcnemar(*right(3000, 0))["p_value"] == 0
    assert mcnemar(*right(3000, 3001))["p_value"] == pytest.approx(1, abs=0.02)
