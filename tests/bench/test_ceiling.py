"""The ceiling of a run follows from the rates of its stages."""

import pytest

from hambatch.bench.ceiling import ADDED, BETWEEN, LOWER, Cores, find_ceiling

ALL = Cores(2, 2, 2)


def test_on_the_same_cores_the_cpu_seconds_add_up() -> None:
    assert ALL.formula == ADDED
    assert ALL.ceiling(100, 25) == pytest.approx(20)


@pytest.mark.parametrize("cores", [Cores(2, 2, 2, shared=False), Cores(4, 2, 2)])
def test_apart_the_slower_one_is_the_ceiling(cores: Cores) -> None:
    assert cores.formula == LOWER
    assert cores.ceiling(100, 25) == 25


def test_stages_that_leave_a_core_free_are_in_between() -> None:
    # Inference on one of two cores, 30 images/s; decoding on both, 600: the other core decodes.
    cores = Cores(2, decode=2, inference=1)
    assert cores.formula == BETWEEN
    assert cores.ceiling(600, 30) == 30
    # Decoding as slow: 2/30 + 1/30 core seconds an image on two cores.
    assert cores.ceiling(30, 30) == pytest.approx(20)


def test_shares_are_taken_within_each_round() -> None:
    # A slow second round slows all alike: the share is 0.9 in both.
    ceiling = find_ceiling(ALL, [9e3, 9e3], [100, 50], [25, 12.5], [18, 9])
    assert ceiling.share == pytest.approx(0.9)
    assert ceiling.bound_by == "inference"


def test_sentinels_count_as_cost_and_the_share_with_them_is_given() -> None:
    ceiling = find_ceiling(ALL, [9e3], [100], [25], [10], sentinels=0.8)
    assert (ceiling.share, ceiling.share_with_sentinels) == pytest.approx((0.5, 0.9))


def test_a_slow_disk_is_not_taken_for_a_slow_decoder() -> None:
    assert find_ceiling(ALL, [41], [40], [400], [30]).bound_by == "read"
    assert find_ceiling(ALL, [900], [40], [400], [30]).bound_by == "decode"
