import numpy as np
import pytest

from hambatch.training.export.int8.fitting import gptq, limit_pairs, weight_scales
from tests.training.export.int8.residual_graph import pair_sums


@pytest.mark.parametrize(("inputs", "positions"), [(6, 1), (4, 9), (5, 4)])
def test_limited_codes_never_saturate_and_safe_ones_stay(inputs, positions):
    rng = np.random.default_rng(0)
    codes = rng.integers(-127, 128, (50, inputs * positions)).astype(float)
    limited = limit_pairs(codes, positions)
    sums = pair_sums(limited.astype(np.int8).reshape(50, inputs, positions, 1))
    assert sums.max() == 128
    again = limit_pairs(limited, positions)
    np.testing.assert_array_equal(again, limited)
    assert (np.sign(limited) * np.sign(codes) >= 0).all()
    assert (np.abs(limited) <= np.abs(codes)).all()


def test_the_smaller_of_a_pair_gives_way():
    codes = np.array([[100.0, -90, 20, 30]])
    np.testing.assert_array_equal(limit_pairs(codes, 1), [[100, -28, 20, 30]])


@pytest.mark.parametrize("inputs", [8, 7])
def test_gptq_keeps_the_limit_and_loses_less_than_rounding(inputs):
    rng = np.random.default_rng(1)
    weights = rng.normal(0, 1, (20, inputs * 9))
    data = rng.normal(0, 1, (400, inputs * 9)) @ rng.normal(0, 1, (inputs * 9, inputs * 9))
    moments = data.T @ data / len(data)
    scales = weight_scales(weights, np.diag(moments), 9).astype(float)
    codes = gptq(weights, moments, scales, 9, 0.01)
    assert pair_sums(codes.astype(np.int8).reshape(20, inputs, 9, 1)).max() <= 128
    nearest = limit_pairs(np.clip(np.rint(weights / scales[:, None]), -127, 127), 9)

    def loss(found):
        left = (found * scales[:, None] - weights) @ data.T
        return (left**2).mean()

    assert loss(codes) < 0.5 * loss(nearest)
