import math

import pytest
from scipy import stats

from hambatch.bench.statistics import critical, outside

FREEDOM = [1, 2, 3.7, 4, 8, 13.2, 58, 998, 19_998]


@pytest.mark.parametrize("freedom", FREEDOM)
@pytest.mark.parametrize("t", [0.0, 0.3, 1.0, 2.5, 8.0, 40.0])
def test_the_chance_outside_is_scipys(t, freedom):
    wanted = 2 * stats.t.sf(t, freedom)
    assert outside(t, freedom) == pytest.approx(wanted, rel=1e-4, abs=1e-30)


@pytest.mark.parametrize("freedom", FREEDOM)
@pytest.mark.parametrize("alpha", [0.4, 0.05, 0.005])
def test_the_critical_value_is_scipys(alpha, freedom):
    assert critical(alpha, freedom) == pytest.approx(stats.t.isf(alpha / 2, freedom), rel=1e-5)


def test_nothing_is_outside_infinity():
    assert outside(math.inf, 4) == 0
