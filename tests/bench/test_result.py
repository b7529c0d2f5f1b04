import numpy as np
import pytest

from hambatch.bench.result import percentile, samples_needed


@pytest.mark.parametrize(("p", "needed"), [(50, 7), (90, 44), (95, 90), (99, 459), (99.9, 4603)])
def test_the_largest_of_so_many_samples_is_above_the_percentile_99_times_of_100(p, needed):
    assert samples_needed(p) == needed
    assert (p / 100) ** needed <= 0.01 < (p / 100) ** (needed - 1)


def test_less_confidence_needs_fewer_samples():
    assert samples_needed(99, confidence=0.95) == 299


@pytest.mark.parametrize("p", [0, 100, -1, 101, float("nan")])
def test_what_is_no_percentile_is_refused(p):
    with pytest.raises(ValueError, match="percentile"):
        samples_needed(p)


@pytest.mark.parametrize("confidence", [0, 1, float("nan")])
def test_what_is_no_confidence_is_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        samples_needed(99, confidence)


def test_a_percentile_of_one_sample_too_few_is_none():
    samples = [float(value) for value in range(459)]
    assert percentile(samples, 99) is not None
    assert percentile(samples[:-1], 99) is None
    assert percentile([], 50) is None


@pytest.mark.parametrize(("p", "wanted"), [(50, 500.0), (90, 900.0), (95, 950.0), (99, 990.0)])
def test_a_percentile_is_the_sample_that_so_many_percent_do_not_exceed(p, wanted):
    samples = np.random.default_rng(0).permutation(np.arange(1.0, 1001.0)).tolist()
    assert percentile(samples, p) == wanted


def test_rounding_in_binary_does_not_move_the_rank():
    assert percentile([float(value) for value in range(1, 10_001)], 99.9) == 9990.0


def test_it_is_numpys_inverted_cdf():
    samples = np.random.default_rng(1).lognormal(3, 0.3, 777).tolist()
    for p in (50, 90, 95, 99):
        assert percentile(samples, p) == np.percentile(samples, p, method="inverted_cdf")
