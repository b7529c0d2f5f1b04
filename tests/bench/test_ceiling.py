"""Ceilings, shares and the sentence agree with each other."""

import pytest

from hambatch.bench import report as verdict
from hambatch.bench.result import ADDED, BETWEEN, LOWER, Cores, find_ceiling

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


def test_known_pictures_count_as_cost_and_the_share_with_them_is_told() -> None:
    ceiling = find_ceiling(ALL, [9e3], [100], [25], [10], known=0.8)
    assert (ceiling.share, ceiling.share_with_known) == pytest.approx((0.5, 0.9))


def test_a_slow_disk_is_not_taken_for_a_slow_decoder() -> None:
    assert find_ceiling(ALL, [41], [40], [400], [30]).bound_by == "read"
    assert find_ceiling(ALL, [900], [40], [400], [30]).bound_by == "decode"


@pytest.mark.parametrize(
    ("decode", "inference", "score", "says"),
    [
        (
            888,
            61.4,
            53.4,
            "bound by inference: 93 % of the ceiling; a faster decoder would gain at most 7 %",
        ),
        (
            40,
            400,
            36.36,
            "bound by decode: 100 % of the ceiling; a faster backend would gain at most 10 %",
        ),
    ],
)
def test_the_verdict_says_what_the_numbers_say(
    decode: float, inference: float, score: float, says: str
) -> None:
    assert verdict.of_score(find_ceiling(ALL, [9e3], [decode], [inference], [score])) == says


def test_on_devices_of_their_own_a_faster_decoder_gains_nothing() -> None:
    apart = Cores(2, 2, 2, shared=False)
    found = verdict.of_score(find_ceiling(apart, [9e3], [900], [100], [95]))
    assert found.endswith("95 % of the ceiling; a faster decoder would gain at most 0 %")


def entry(name: str, low: float, middle: float, high: float) -> dict[str, object]:
    return {"name": name, "min": low, "median": middle, "max": high}


def test_what_the_spread_does_not_tell_apart_is_named() -> None:
    entries = [entry("a", 9, 10, 11), entry("b", 8, 9.5, 10), entry("c", 4, 5, 6)]
    found = verdict.of_throughput(entries)
    assert found == "most images/s: a, 10.0; as fast within the spread: b"
    assert verdict.of_throughput(entries[::2]).endswith("within the spread: none")


def test_a_percentile_that_is_not_valid_is_never_a_number() -> None:
    few = {"name": "a", "percentiles_ms": {"99": None}, "not_valid": {"99": "needs 459, has 5"}}
    assert verdict.of_latency([few], "99") == "p99 is not valid: it needs 459, has 5"
