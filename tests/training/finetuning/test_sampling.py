"""The endless sequence: any part at once, balanced, no view twice; and logit adjustment."""

from collections import Counter

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.training.finetuning.sampling import Pool, adjustment, instances, quotas

COUNTS = (4, 9, 16, 1, 16, 49, 5)
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(7), COUNTS))
POOL = Pool.of(LABELS)
N = len(LABELS)


def of_classes(pool: Pool, balance: str) -> np.ndarray:
    return quotas(pool, balance).sum(axis=0)


@pytest.mark.parametrize(("first", "end"), [(0, 1), (17, 60), (N - 1, N + 1), (2 * N, 5 * N)])
def test_a_part_is_that_part_of_the_whole(first: int, end: int) -> None:
    whole = instances(POOL, "sqrt", 3, 0, 5 * N)
    part = instances(POOL, "sqrt", 3, first, end)
    np.testing.assert_array_equal(part.images, whole.images[first:end])
    np.testing.assert_array_equal(part.views, whole.views[first:end])


@pytest.mark.parametrize("balance", ["none", "sqrt", "full"])
def test_no_view_comes_twice_and_the_images_of_a_class_take_turns(balance: str) -> None:
    images, views = instances(POOL, balance, 0, 0, 7 * N)
    assert len(set(zip(images.tolist(), views.tolist(), strict=True))) == 7 * N
    times = Counter(images.tolist())
    for label in range(7):
        of_class = [times[image] for image in np.flatnonzero(LABELS == label).tolist()]
        assert max(of_class) - min(of_class) <= 1
    assert views.min() == 1
    assert views.max() == max(times.values())


def test_without_balance_a_round_has_every_image_once() -> None:
    assert sorted(instances(POOL, "none", 0, N, 2 * N).images) == list(range(N))


def test_classes_are_drawn_by_their_square_roots_or_alike() -> None:
    roots = np.sqrt(COUNTS)
    assert of_classes(POOL, "sqrt").sum() == of_classes(POOL, "full").sum() == N
    assert np.abs(of_classes(POOL, "sqrt") - N * roots / roots.sum()).max() < 1
    assert set(of_classes(POOL, "full")) == {N // 7, N // 7 + 1}
    drawn = np.bincount(LABELS[instances(POOL, "sqrt", 0, 0, N).images])
    np.testing.assert_array_equal(drawn, of_classes(POOL, "sqrt"))


def test_the_order_is_the_seeds_and_each_rounds_own() -> None:
    first = instances(POOL, "none", 0, 0, N).images
    assert (first != instances(POOL, "none", 1, 0, N).images).any()
    assert (first != instances(POOL, "none", 0, N, 2 * N).images).any()


def test_a_class_without_images_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"(?s)no image of class df.*\nNext: hambatch prepare"):
        instances(Pool.of(LABELS[LABELS != 3]), "sqrt", 0, 0, 8)
    with pytest.raises(InputError, match="no image of class df"):
        adjustment(Pool.of(LABELS[LABELS != 3]), "sqrt", 1.0)


UNEVEN = np.repeat(np.arange(7), [16, 16, 64, 4, 64, 400, 4])


def test_the_adjustment_is_the_logarithm_of_what_a_class_is_drawn() -> None:
    of_sqrt = np.array([4, 4, 8, 2, 8, 20, 2]) / 48
    np.testing.assert_allclose(
        adjustment(Pool.of(UNEVEN), "sqrt", 1.0)[0], np.log(of_sqrt), atol=0.03
    )
    (plain,) = adjustment(Pool.of(UNEVEN), "none", 0.5)
    np.testing.assert_allclose(plain, 0.5 * np.log(np.bincount(UNEVEN) / len(UNEVEN)), rtol=1e-6)


def test_classes_that_are_drawn_alike_are_left_as_they_are() -> None:
    assert np.ptp(adjustment(Pool.of(UNEVEN), "full", 1.0)) < 0.02


def test_without_strength_nothing_is_added() -> None:
    assert not adjustment(Pool.of(UNEVEN), "sqrt", 0.0).any()


def test_a_class_that_a_round_leaves_out_stays_finite() -> None:
    labels = np.repeat(np.arange(7), [1, 1, 1, 1, 1, 1, 40_000])
    assert np.isfinite(adjustment(Pool.of(labels), "none", 1.0)).all()


MANY = np.tile(LABELS, 20)
SOURCES = np.random.default_rng(1).choice(3, len(MANY), p=[0.4, 0.3, 0.3])
MIXED = Pool(MANY, SOURCES, np.array([1, 0.5, 0.25]))


def test_an_image_of_another_source_is_drawn_as_often_as_its_weight_says() -> None:
    images, views = instances(MIXED, "sqrt", 0, 0, 40 * MIXED.round)
    times = np.bincount(images, minlength=len(MANY))
    for label in (1, 2, 5):
        first, second, third = (
            times[(label == MANY) & (source == SOURCES)].mean() for source in range(3)
        )
        # A round holds whole views.
        assert second / first == pytest.approx(0.5, abs=0.03)
        assert third / first == pytest.approx(0.25, abs=0.03)
    assert len(set(zip(images.tolist(), views.tolist(), strict=True))) == len(images)


def test_classes_are_balanced_by_the_weighted_number_of_their_images() -> None:
    weights = MIXED.weights[SOURCES]
    roots = np.sqrt([weights[label == MANY].sum() for label in range(7)])
    assert quotas(MIXED, "sqrt").sum() == MIXED.round == round(weights.sum())
    assert np.abs(of_classes(MIXED, "sqrt") - MIXED.round * roots / roots.sum()).max() < 1


@pytest.mark.parametrize(("first", "end"), [(0, 1), (17, 60), (900, 2400)])
def test_a_part_of_several_sources_is_that_part_of_the_whole(first: int, end: int) -> None:
    whole, part = (instances(MIXED, "sqrt", 3, *ends) for ends in ((0, 2400), (first, end)))
    np.testing.assert_array_equal(part.images, whole.images[first:end])
    np.testing.assert_array_equal(part.views, whole.views[first:end])


def test_a_second_source_leaves_the_order_of_the_first() -> None:
    alone = instances(Pool.of(LABELS), "none", 3, 0, 10 * N).images
    # As many views of the first source as without the second, as its images count so little.
    more = Pool(np.concatenate([LABELS, LABELS]), np.repeat([0, 1], N), np.array([1.0, 1e-9]))
    np.testing.assert_array_equal(instances(more, "none", 3, 0, 10 * N).images, alone)


def test_each_source_may_have_its_own_adjustment() -> None:
    labels = np.concatenate([np.repeat(np.arange(7), 10), np.repeat([4, 5], [90, 10])])
    pool = Pool(labels, np.repeat([0, 1], [70, 100]), np.ones(2))
    together = adjustment(pool, "none", 1.0)
    np.testing.assert_array_equal(together[0], together[1])
    apart = adjustment(pool, "none", 1.0, by_source=True)
    assert np.ptp(apart[0]) < 1e-6, "the first source has as many of all"
    assert apart[1, 4] - apart[1, 5] == pytest.approx(np.log(9), abs=0.01)
    # A class that the source lacks is counted with one of a hundred, and the shares sum to 1.
    assert np.exp(apart[1, 0]) == pytest.approx(0.01 / 1.05, rel=0.01)
    np.testing.assert_allclose(np.exp(apart).sum(axis=1), 1, rtol=1e-5)
