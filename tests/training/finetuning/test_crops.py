"""Crops: a part of the same view at the same scale, then whole views to the end."""

from dataclasses import replace

import numpy as np
import pytest

from hambatch.pipelines.training import FILL
from hambatch.system.array_cache import Pair
from hambatch.training.finetuning.views import Phase, cropped, phases
from hambatch.training.options import Jitter
from tests.training.finetuning.tiny import OPTIONS, TUNE, tuning_data

PLAIN_JITTER = Jitter(0.0, 0.0, 0.0, 0.0, 0.0)
CROPPING = replace(TUNE, crop_side=96, crop_share=0.6, jitter=PLAIN_JITTER)


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


def test_a_crop_is_a_part_of_the_view_pixel_by_pixel(tmp_path) -> None:
    options = replace(OPTIONS, finetune=CROPPING)
    data = tuning_data(tmp_path, options)
    pairs = [Pair(image, 1) for image in data.train[:8]]
    (whole,), (crops,) = list(data.pictures.views(pairs, 224)), list(data.pictures.views(pairs, 96))
    assert crops.shape == (8, 96, 96, 3)
    starts = []
    for view, crop, pair in zip(whole, crops, pairs, strict=True):
        left, top = (cropped(np.eye(2, 3, dtype=np.float32), 224, 96, 0, *pair)[:, 2]).astype(int)
        part = view[top : top + 96, left : left + 96].astype(int)
        assert np.abs(part - crop).max() <= 1
        starts.append((left, top))
    assert len(set(starts)) == 8


def test_the_batches_of_a_run_change_size_once_and_are_the_same_from_any_step(tmp_path) -> None:
    options = replace(OPTIONS, finetune=CROPPING)
    data = tuning_data(tmp_path, options)
    batches = list(data.batches(0, options))
    assert [images.shape[1] for images, _ in batches] == [96] * 7 + [224] * 5
    again = list(data.batches(5, options))
    for (images, labels), (others, other_labels) in zip(batches[5:], again, strict=True):
        np.testing.assert_array_equal(images, others)
        np.testing.assert_array_equal(labels, other_labels)


def test_a_hole_in_a_crop_is_a_share_of_the_crop(tmp_path) -> None:
    tune = replace(CROPPING, jitter=replace(PLAIN_JITTER, cutout=0.5))
    data = tuning_data(tmp_path, replace(OPTIONS, finetune=tune))
    pairs = [Pair(image, view) for image in data.train[:8] for view in (1, 2)]
    crops = np.concatenate(list(data.pictures.views(pairs, 96)))
    holes = (crops == np.array(FILL, np.uint8)).all(axis=3).sum(axis=(1, 2))
    assert holes.max() <= 48 * 48 + 20
    assert (holes >= 24 * 24).all()


def test_every_place_where_it_fits_is_drawn_and_the_centre_is_in_each() -> None:
    eye = np.eye(2, 3, dtype=np.float32)
    starts = np.array([cropped(eye, 224, 160, 0, "0a" * 32, view)[:, 2] for view in range(1, 400)])
    assert (starts.min(), starts.max()) == (0, 64)
    assert ((starts <= 112) & (starts + 160 >= 112)).all()
    assert cropped(eye, 224, 224, 0, "0a" * 32, 1) is eye
