"""Batches of steps: the same wherever a run begins; crops first; blended in pairs."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.training.extra_options import Extra, ExtraOptions
from hambatch.training.finetuning.data import Phase, mixed, phases, pixels_between, restyled
from hambatch.training.finetuning.sampling import Pool
from hambatch.training.options import FineTuneOptions
from tests.training.finetuning.tiny import OPTIONS, TUNE, tuning_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def data(folder):
    return tuning_data(folder)


def test_a_step_has_the_same_batch_wherever_the_run_begins(data):
    whole = list(islice(data.batches(0, OPTIONS), 7))
    for images, labels, _ in islice(data.batches(5, OPTIONS), 2):
        wanted_images, wanted_labels, _ = whole.pop(5)
        np.testing.assert_array_equal(images, wanted_images)
        np.testing.assert_array_equal(labels, wanted_labels)


def test_there_are_as_many_whole_batches_as_steps_are_left(data):
    left = list(data.batches(OPTIONS.finetune.steps - 2, OPTIONS))
    assert [images.shape for images, _, _ in left] == [(8, 224, 224, 3)] * 2
    assert [labels.shape for _, labels, _ in left] == [(8,)] * 2


def test_another_seed_gives_other_views(data, folder):
    other = replace(OPTIONS, seed=1)
    images, _, _ = next(data.batches(0, OPTIONS))
    others, _, _ = next(tuning_data(folder, other).batches(0, other))
    assert (images != others).any()


def test_each_image_has_the_label_of_its_file(data):
    names = {image: int(path.name[0]) for image, path in data.views.files.items()}
    assert [names[image] for image in data.train] == data.pool.labels.tolist()
    # Six of seven hues stay nearest to their own class's under jitter; grey borders do not hide it.
    images, labels, _ = next(data.batches(0, replace(OPTIONS, batch_size=8)))
    plain = {}
    for image, label in zip(data.train, data.pool.labels.tolist(), strict=True):
        plain[label] = data.views.on_cpu([image])[0].mean(axis=(0, 1))
    nearest = [
        min(plain, key=lambda label: np.abs(plain[label] - picture.mean(axis=(0, 1))).sum())
        for picture in images
    ]
    assert np.mean(nearest == labels) >= 0.7


def test_the_batches_of_a_run_change_size_once_and_are_the_same_from_any_step(data) -> None:
    options = replace(OPTIONS, finetune=replace(TUNE, crop_side=96, crop_share=0.6))
    batches = list(data.batches(0, options))
    assert [images.shape[1] for images, _, _ in batches] == [96] * 7 + [224] * 5
    again = list(data.batches(5, options))
    for (images, labels, _), (others, other_labels, _) in zip(batches[5:], again, strict=True):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(labels, other_labels)


@pytest.mark.parametrize(
    ("share", "done", "left"),
    [
        (0.0, 0, [(0, 12, 224)]),
        (0.5, 0, [(0, 6, 96), (6, 12, 224)]),
        (0.5, 4, [(4, 6, 96), (6, 12, 224)]),
        (0.5, 6, [(6, 12, 224)]),
        (1.0, 11, [(11, 12, 96)]),
        (0.5, 12, []),
    ],
)
def test_crops_come_first_and_a_run_goes_on_where_it_was(share, done, left) -> None:
    tune = replace(TUNE, crop_side=96, crop_share=share)
    assert list(phases(tune, done)) == [Phase(*phase) for phase in left]


def test_crops_cost_as_much_less_as_they_are_smaller():
    # 112 pixels a side are a quarter of 224.
    tune = FineTuneOptions(steps=100, crop_side=112, crop_share=0.8)
    assert pixels_between(tune, 0, 40) == 40 * 0.25
    assert pixels_between(tune, 40, 100) == 40 * 0.25 + 20
    assert pixels_between(tune, 40, 85) == 40 * 0.25 + 5
    assert pixels_between(tune, 85, 85) == 0


LABELS = np.arange(32) % 7
# An image of one value is known by its value: two of 32 blend to one number.
IMAGES = np.broadcast_to((10.0 ** (LABELS % 7))[:, None, None, None], (32, 4, 4, 3))
IMAGES = np.ascontiguousarray(IMAGES, np.float32)


def test_without_mixup_images_stay_and_labels_are_hard() -> None:
    found = mixed(IMAGES, LABELS, 0.0, seed=1, number=1)
    assert found.images is IMAGES
    np.testing.assert_array_equal(found.targets, np.eye(7)[LABELS])


@pytest.mark.parametrize("mixup", [0.1, 0.4, 1.0])
def test_labels_are_blended_as_their_images_are(mixup) -> None:
    found = mixed(IMAGES, LABELS, mixup, seed=1, number=5)
    np.testing.assert_allclose(found.targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(
        found.images,
        np.broadcast_to((found.targets @ 10.0 ** np.arange(7))[:, None, None, None], IMAGES.shape),
        rtol=1e-4,
    )
    assert (found.targets.argmax(axis=1) == LABELS).all()
    assert (found.targets.max(axis=1) < 1).any()


def test_mixup_depends_on_seed_and_step_alone() -> None:
    one, again = (mixed(IMAGES, LABELS, 0.4, seed=1, number=5) for _ in range(2))
    np.testing.assert_array_equal(one.images, again.images)
    for seed, number in ((2, 5), (1, 6)):
        other = mixed(IMAGES, LABELS, 0.4, seed, number)
        assert (other.targets != one.targets).any()


BLURRED = Extra("other.csv", 0.5, side=84)
WITH_BLURRED = replace(TUNE, extras=ExtraOptions(extra=(BLURRED,), blurred_share=0.5))


@pytest.mark.parametrize(
    ("crop_share", "done", "left"),
    [
        (0.0, 0, [(0, 6, 224, True), (6, 12, 224, False)]),
        (0.25, 0, [(0, 3, 96, True), (3, 6, 224, True), (6, 12, 224, False)]),
        (0.75, 4, [(4, 6, 96, True), (6, 9, 96, False), (9, 12, 224, False)]),
    ],
)
def test_blurred_sources_end_where_their_share_does(crop_share, done, left) -> None:
    tune = replace(WITH_BLURRED, crop_side=96, crop_share=crop_share)
    assert list(phases(tune, done)) == [Phase(*phase) for phase in left]


def test_sources_that_are_sharp_at_the_networks_side_stay_to_the_end() -> None:
    sharp = replace(WITH_BLURRED.extras, extra=(replace(BLURRED, side=224),))
    assert list(phases(replace(WITH_BLURRED, extras=sharp), 0)) == [Phase(0, 12, 224, True)]


def test_a_class_of_blurred_images_alone_is_refused_before_the_first_step(data) -> None:
    sources = (data.pool.labels == 3).astype(np.int64)
    pool = Pool(data.pool.labels, sources, np.array([1.0, 1.0]))
    lacking = replace(data, pool=pool, blurred=frozenset({1}))
    with pytest.raises(InputError, match="no image of class df"):
        next(lacking.batches(0, replace(OPTIONS, finetune=WITH_BLURRED)))


def test_steps_see_a_blurred_source_and_then_no_more_and_no_view_twice(data) -> None:
    # The last two images of each class are of the other source.
    labels = data.pool.labels
    sources = np.array([int(np.sum(labels[k:] == label) <= 1) for k, label in enumerate(labels)])
    pool = Pool(labels, sources, np.array([1.0, 1.0]))
    mixed_data = replace(data, pool=pool, blurred=frozenset({1}))
    seen = []
    views = data.views

    class Recording:
        def batches(self, pairs, **how):
            seen.extend(pairs)
            return views.batches(pairs, **how)

    options = replace(OPTIONS, finetune=WITH_BLURRED)
    whole = list(replace(mixed_data, views=Recording()).batches(0, options))
    other = {data.train[k] for k in np.flatnonzero(sources)}
    which = [pair.sha256 in other for pair in seen]
    assert any(which[:48])
    assert not any(which[48:])
    assert len(which) == 96
    assert len(set(seen)) == 96
    for batch, again in zip(whole[7:], mixed_data.batches(7, options), strict=True):
        np.testing.assert_array_equal(batch.images, again.images)
        np.testing.assert_array_equal(batch.added, again.added)


def test_an_image_takes_the_colours_of_another_and_keeps_its_structure() -> None:
    draw = np.random.default_rng(0)
    spreads = np.array([5, 10, 20, 40], np.float32)[:, None, None, None]
    images = draw.normal(0, 1, (4, 16, 16, 3)).astype(np.float32) * spreads + spreads
    found = restyled(images, 1.0, 0, 1)
    means, spread = found.mean(axis=(1, 2)), found.std(axis=(1, 2))
    assert means.min() >= images.mean(axis=(1, 2)).min() - 1e-3
    assert spread.max() <= images.std(axis=(1, 2)).max() + 1e-3
    assert (np.abs(means - images.mean(axis=(1, 2))) > 0.5).any()
    for one, other in zip(images, found, strict=True):
        assert np.corrcoef(one[..., 0].ravel(), other[..., 0].ravel())[0, 1] > 0.9999


def test_a_share_of_the_images_changes_style_by_seed_and_step_alone() -> None:
    images = np.random.default_rng(1).normal(0, 30, (64, 4, 4, 3)).astype(np.float32)
    images *= np.linspace(0.5, 2, 64, dtype=np.float32)[:, None, None, None]
    found = restyled(images, 0.5, 0, 1)
    changed = (found != images).any(axis=(1, 2, 3)).mean()
    assert 0.3 < changed < 0.7
    np.testing.assert_array_equal(found, restyled(images, 0.5, 0, 1))
    assert (found != restyled(images, 0.5, 0, 2)).any()
    assert restyled(images, 0.0, 0, 1) is images
