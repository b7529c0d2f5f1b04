"""The written-down derivative is the derivative, and the cells add up to the logit."""

import numpy as np

from hambatch.backends.openvino_maps import Head, evidence, grad_cam

RNG = np.random.default_rng(0)
HEAD = Head(
    RNG.normal(0, 1, (12, 9)), RNG.normal(0, 1, 9), RNG.normal(0, 1, (9, 7)), RNG.normal(0, 1, 7)
)
FEATURE_MAP = RNG.gamma(1.0, 1.0, (5, 12, 4, 3)).astype(np.float32)
FEATURES = FEATURE_MAP.mean(axis=(2, 3), dtype=np.float64)


def logits(feature_map):
    """The head of any feature map, in float64."""
    hidden = feature_map.astype(np.float64).mean(axis=(2, 3)) @ HEAD.w1 + HEAD.b1
    return np.maximum(hidden, 0) @ HEAD.w2 + HEAD.b2


def test_some_hidden_units_are_off_in_the_example():
    active = FEATURES @ HEAD.w1 + HEAD.b1 > 0
    assert 0.2 < active.mean() < 0.8
    assert len(np.unique(active, axis=0)) > 1


def test_maps_are_the_gradient_by_finite_differences():
    expected, step = np.zeros((5, 7, 4, 3)), 1e-6
    for channel in range(12):
        gradient = np.zeros((5, 7))
        for row in range(4):
            for column in range(3):
                up, down = (FEATURE_MAP.astype(np.float64) for _ in range(2))
                up[:, channel, row, column] += step
                down[:, channel, row, column] -= step
                gradient += (logits(up) - logits(down)) / (2 * step)
        expected += (gradient / 12)[:, :, None, None] * FEATURE_MAP[:, None, channel]
    found = evidence(HEAD, FEATURE_MAP, FEATURES)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_all_cells_and_the_biases_of_active_layers_make_the_logit():
    active = FEATURES @ HEAD.w1 + HEAD.b1 > 0
    biases = (active * HEAD.b1) @ HEAD.w2 + HEAD.b2
    total = evidence(HEAD, FEATURE_MAP, FEATURES).sum(axis=(2, 3)) + biases
    np.testing.assert_allclose(total, logits(FEATURE_MAP), rtol=1e-6)


def test_what_speaks_against_a_class_is_cut_off():
    signed = evidence(HEAD, FEATURE_MAP, FEATURES)
    assert signed.min() < 0
    np.testing.assert_array_equal(grad_cam(HEAD, FEATURE_MAP, FEATURES), signed.clip(0))
