"""The endless sequence: any part at once, balanced, no view twice; and logit adjustment."""

from collections import Counter

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.training.finetuning.sampling import adjustment, instances, quotas

COUNTS = (4, 9, 16, 1, 16, 49, 5)
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(7), COUNTS))
N = len(LABELS)


@pytest.mark.parametrize(("first", "end"), [(0, 1), (17, 60), (N - 1, N + 1), (2 * N, 5 * N)])
def test_a_part_is_that_part_of_the_whole(first: int, end: int) -> None:
    whole = instances(LABELS, "sqrt", 3, 0, 5 * N)
    part = instances(LABELS, "sqrt", 3, first, end)
    np.testing.assert_array_equal(part.images, whole.images[first:end])
    np.testing.assert_array_equal(part.views, whole.views[first:end])


@pytest.mark.parametrize("balance", ["none", "sqrt", "full"])
def test_no_view_comes_twice_and_the_images_of_a_class_take_turns(balance: str) -> None:
    images, views = instances(LABELS, balance, 0, 0, 7 * N)
    assert len(set(zip(images.tolist(), views.tolist(), strict=True))) == 7 * N
    times = Counter(images.tolist())
    for label in range(7):
        of_class = [times[image] for image in np.flatnonzero(LABELS == label).tolist()]
        assert max(of_class) - min(of_class) <= 1
    assert views.min() == 1
    assert views.max() == max(times.values())


def test_without_balance_a_round_has_every_image_once() -> None:
    assert sorted(instances(LABELS, "none", 0, N, 2 * N).images) == list(range(N))


def test_classes_are_drawn_by_their_square_roots_or_alike() -> None:
    roots = np.sqrt(COUNTS)
    assert quotas(LABELS, "sqrt").sum() == quotas(LABELS, "full").sum() == N
    assert np.abs(quotas(LABELS, "sqrt") - N * roots / roots.sum()).max() < 1
    assert set(quotas(LABELS, "full")) == {N // 7, N // 7 + 1}
    drawn = np.bincount(LABELS[instances(LABELS, "sqrt", 0, 0, N).images])
    np.testing.assert_array_equal(drawn, quotas(LABELS, "sqrt"))


def test_the_order_is_the_seeds_and_each_rounds_own() -> None:
    first = instances(LABELS, "none", 0, 0, N).images
    assert (first != instances(LABELS, "none", 1, 0, N).images).any()
    assert (first != instances(LABELS, "none", 0, N, 2 * N).images).any()


def test_a_class_without_images_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"(?s)no image of class df.*\nNext: hambatch prepare"):
        instances(LABELS[LABELS != 3], "sqrt", 0, 0, 8)
    with pytest.raises(InputError, match="no image of class df"):
        adjustment(LABELS[LABELS != 3], "sqrt", 1.0)


UNEVEN = np.repeat(np.arange(7), [16, 16, 64, 4, 64, 400, 4])


def test_the_adjustment_is_the_logarithm_of_what_a_class_is_drawn() -> None:
    of_sqrt = np.array([4, 4, 8, 2, 8, 20, 2]) / 48
    np.testing.assert_allclose(adjustment(UNEVEN, "sqrt", 1.0), np.log(of_sqrt), atol=0.03)
    plain = adjustment(UNEVEN, "none", 0.5)
    np.testing.assert_allclose(plain, 0.5 * np.log(np.bincount(UNEVEN) / len(UNEVEN)), rtol=1e-6)


def test_classes_that_are_drawn_alike_are_left_as_they_are() -> None:
    assert np.ptp(adjustment(UNEVEN, "full", 1.0)) < 0.02


def test_without_strength_nothing_is_added() -> None:
    assert not adjustment(UNEVEN, "sqrt", 0.0).any()


def test_a_class_that_a_round_leaves_out_stays_finite() -> None:
    labels = np.repeat(np.arange(7), [1, 1, 1, 1, 1, 1, 40_000])
    assert np.isfinite(adjustment(labels, "none", 1.0)).all()
