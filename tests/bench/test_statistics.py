import math

import numpy as np
import pytest
from scipy import stats

from hambatch.bench.options import REPEATS_AT_MOST
from hambatch.bench.statistics import FEWEST, difference, holm, repeats_needed, scatter_at_most
from tests.bench.results import rates


@pytest.mark.parametrize(("many", "more", "wider"), [(5, 5, 1), (5, 30, 1), (12, 7, 4)])
def test_the_test_and_its_interval_are_scipys_welch(many, more, wider):
    a, b = rates(40, 0.02, many, seed=1), rates(41, 0.02 * wider, more, seed=2)
    found = difference(a, b)
    wanted = stats.ttest_ind(np.log(b), np.log(a), equal_var=False)
    low, high = np.exp(wanted.confidence_interval(0.95))
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-6)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6)
    assert found.ratio == pytest.approx(stats.gmean(b) / stats.gmean(a))


def test_scatter_is_pooled_over_both_sides():
    a, b = rates(40, 0.02, 400, seed=1), rates(80, 0.04, 400, seed=2)
    assert difference(a, b).scatter == pytest.approx(math.sqrt((0.02**2 + 0.04**2) / 2), rel=0.1)
    assert difference(a, b).freedom == 798


def test_swapping_the_sides_inverts_the_ratio():
    a, b = rates(40, 0.02, 8, seed=1), rates(50, 0.02, 8, seed=2)
    there, back = difference(a, b), difference(b, a)
    assert back.p == pytest.approx(there.p)
    assert (back.ratio, back.low) == pytest.approx((1 / there.ratio, 1 / there.high))


def test_repeats_without_any_scatter_are_equal_or_different():
    same, other = difference([0.1] * 5, [0.1] * 5), difference([0.1] * 5, [0.2] * 5)
    assert (same.ratio, same.p, same.scatter) == (1, 1, 0)
    assert (other.ratio, other.p) == (pytest.approx(2), 0)


def test_values_at_the_ends_of_what_is_allowed_give_numbers():
    wild = difference([1e-12, 1e12], [1e12, 1e-12], alpha=1e-6)
    assert all(map(math.isfinite, (wild.ratio, wild.low, wild.high, wild.p)))
    assert wild.low < 1 < wild.high


def test_two_measurements_of_the_same_thing_differ_in_at_most_7_percent_of_cases():
    pairs = [(rates(40, 0.02, 8, 2 * k), rates(40, 0.02, 8, 2 * k + 1)) for k in range(500)]
    assert sum(difference(a, b).p >= 0.05 for a, b in pairs) >= 0.93 * 500


def test_skewed_repeats_do_not_raise_false_alarms():
    random = np.random.default_rng(5)
    pairs = (40 / (1 + random.exponential(0.03, (500, 2, 5)))).tolist()
    assert sum(difference(a, b).p >= 0.05 for a, b in pairs) >= 0.93 * 500


def test_holm_corrects_as_published():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.2]) == [0.2]
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def power(repeats, scatter, change, alpha):
    """Compute the power of the two-sided t-test by the noncentral distribution."""
    freedom, shift = 2 * repeats - 2, math.log(change) / scatter * math.sqrt(repeats / 2)
    limit = stats.t.isf(alpha / 2, freedom)
    return stats.nct.sf(limit, freedom, shift) + stats.nct.cdf(-limit, freedom, shift)


@pytest.mark.parametrize(
    ("scatter", "comparisons"), [(0.02, 1), (0.03, 1), (0.05, 1), (0.02, 4), (0.03, 12)]
)
def test_the_repeats_needed_have_four_fifths_power_and_no_more_than_that(scatter, comparisons):
    needed = repeats_needed(scatter, 1.03, comparisons)
    assert power(needed, scatter, 1.03, 0.05 / comparisons) >= 0.79
    assert power(needed - 2, scatter, 1.03, 0.05 / comparisons) < 0.8


def test_quiet_repeats_need_the_fewest_and_wild_ones_the_most():
    assert repeats_needed(0, 1.03) == repeats_needed(0.001, 1.03) == FEWEST
    assert repeats_needed(10, 1.03) == REPEATS_AT_MOST


@pytest.mark.parametrize("freedom", [2, 8, 30])
def test_the_bound_on_the_scatter_holds_nine_times_of_ten(freedom):
    exact = math.sqrt(freedom / stats.chi2.ppf(0.1, freedom))
    assert scatter_at_most(0.02, freedom) == pytest.approx(0.02 * exact, rel=0.04)
