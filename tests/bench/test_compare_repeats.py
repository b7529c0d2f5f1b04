import numpy as np
import pytest

from hambatch.bench.compare import check_repeats, speed_of
from hambatch.bench.compare_file import Series
from hambatch.bench.compare_pairs import Pair
from hambatch.errors import InputError
from tests.bench.results import rates


def pair(a, b, kind="throughput"):
    return Pair(*(Series(kind, "x", "inference", {}, tuple(one)) for one in (a, b)))


def repeats_asked(one):
    """Tell what a refusal asks for; the number that is there where nothing is refused."""
    try:
        check_repeats("engine", [one], 1.03)
    except InputError as error:
        return int(str(error).rpartition("--repeats ")[2])
    return len(one.a.repeats)


@pytest.mark.parametrize("scatter", [0.01, 0.02, 0.03])
def test_a_change_of_3_percent_is_found_with_the_repeats_that_are_asked_for(scatter):
    found = 0
    for seed in range(500):
        first, second = (rates(40, scatter, 5, 4 * seed + side) for side in (0, 1))
        repeats = repeats_asked(pair(first, second))
        a, b = (rates(40 * (1, 0.97)[k], scatter, repeats, 4 * seed + 2 + k) for k in (0, 1))
        again = pair(a, b)
        enough = repeats_asked(again) == repeats
        found += enough and speed_of(again).p < 0.05 and speed_of(again).ratio < 1
    assert found >= 0.78 * 500


def test_too_few_repeats_are_refused_with_the_number_and_the_command():
    with pytest.raises(InputError, match=r"found 6 repeats in A and 7 in B, scattering by 4"):
        check_repeats("score", [pair(rates(40, 0.04, 6, 1), rates(40, 0.04, 7, 2))], 1.03)
    with pytest.raises(InputError, match=r"Next: hambatch bench score \.\.\. --repeats \d\d+$"):
        check_repeats("score", [pair(rates(40, 0.04, 6, 1), rates(40, 0.04, 6, 2))], 1.03)


@pytest.mark.parametrize("repeats", [1, 2, 4])
def test_fewer_than_five_repeats_are_refused_whatever_they_say(repeats):
    for few in ([40.0] * repeats, rates(40, 0.3, repeats, 1)):
        with pytest.raises(InputError, match=r"--repeats 5$"):
            check_repeats("score", [pair(few, [80.0] * 9)], 1.03)


def test_a_difference_far_beyond_the_change_needs_no_more_repeats():
    far, near = rates(80, 0.05, 6, 1), rates(42, 0.05, 6, 1)
    check_repeats("score", [pair(rates(40, 0.05, 6, 2), far)], 1.03)
    check_repeats("score", [pair(far, rates(40, 0.05, 6, 2))], 1.03)
    with pytest.raises(InputError):
        check_repeats("score", [pair(rates(40, 0.05, 6, 2), near)], 1.03)


def test_a_larger_change_needs_fewer_repeats_and_more_comparisons_need_more():
    one = pair(rates(40, 0.03, 8, 1), rates(40, 0.03, 8, 2))
    with pytest.raises(InputError):
        check_repeats("score", [one], 1.03)
    check_repeats("score", [one], 1.10)
    quiet = pair(rates(40, 0.02, 10, 1), rates(40, 0.02, 10, 2))
    check_repeats("score", [quiet], 1.03)
    with pytest.raises(InputError):
        check_repeats("score", [quiet] * 20, 1.03)


def test_a_machine_that_never_shows_the_change_is_said_to_be_too_noisy():
    wild = np.random.default_rng(0).lognormal(0, 5, (2, 6)).tolist()
    with pytest.raises(InputError, match=r"quieter machine(.|\n)*--repeats 1000$"):
        check_repeats("score", [pair(*wild)], 1.03)


def test_half_the_latency_is_twice_the_speed():
    a, b = rates(30, 0.01, 8, 1), rates(15, 0.01, 8, 2)
    assert speed_of(pair(a, b, "latency")).ratio == pytest.approx(2, rel=0.02)
    assert speed_of(pair(a, b)).ratio == pytest.approx(0.5, rel=0.02)
