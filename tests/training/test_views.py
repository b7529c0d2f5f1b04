"""Pixels of views: crops are a part of the same view, plain images are those of scoring."""

from dataclasses import replace

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.pipelines.dali_lane import DaliLane
from hambatch.pipelines.training import FILL
from hambatch.sources.reading import Fetched
from hambatch.system.array_cache import Pair
from hambatch.training.augmentation import cropped
from hambatch.training.view_options import Jitter
from tests.conftest import jpeg_bytes
from tests.pipelines.lanes import HOW, SPEC
from tests.training.finetuning.tiny import OPTIONS, TUNE, tuning_data

PLAIN_JITTER = Jitter(0.0, 0.0, 0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tuning_data(tmp_path_factory.mktemp("images"))


def test_plain_images_are_those_that_scoring_sees(data):
    lane = DaliLane(len(data.val), 1, SPEC, HOW)
    contents = [data.views.files[image].read_bytes() for image in data.val]
    lane.feed([Fetched(k, content, "") for k, content in enumerate(contents)])
    np.testing.assert_array_equal(data.views.on_cpu(data.val), lane.collect()[1])


def test_a_crop_is_a_part_of_the_view_pixel_by_pixel(data) -> None:
    pairs = [Pair(image, 1) for image in data.train[:8]]
    (whole,), (crops,) = list(data.views.batches(pairs)), list(data.views.batches(pairs, side=96))
    assert crops.shape == (8, 96, 96, 3)
    starts = []
    for view, crop, pair in zip(whole, crops, pairs, strict=True):
        left, top = (cropped(np.eye(2, 3, dtype=np.float32), 224, 96, 0, *pair)[:, 2]).astype(int)
        part = view[top : top + 96, left : left + 96].astype(int)
        assert np.abs(part - crop).max() <= 1
        starts.append((left, top))
    assert len(set(starts)) == 8


def test_a_hole_in_a_crop_is_a_share_of_the_crop(data) -> None:
    tune = replace(TUNE, jitter=replace(PLAIN_JITTER, cutout=0.5))
    views = replace(data.views, options=replace(OPTIONS, finetune=tune))
    pairs = [Pair(image, view) for image in data.train[:8] for view in (1, 2)]
    crops = np.concatenate(list(views.batches(pairs, side=96, jitter=True)))
    holes = (crops == np.array(FILL, np.uint8)).all(axis=3).sum(axis=(1, 2))
    assert holes.max() <= 48 * 48 + 20
    assert (holes >= 24 * 24).all()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda path: path.write_bytes(jpeg_bytes(1)), "is not the file that was split"),
        (lambda path: path.unlink(), "cannot be read"),
    ],
    ids=["changed", "missing"],
)
def test_a_file_that_is_not_the_one_of_the_split_is_refused_by_name(tmp_path, change, problem):
    data = tuning_data(tmp_path)
    change(data.views.files[data.train[0]])
    with pytest.raises(InputError, match=rf"0_2\.jpg {problem}"):
        data.views.on_cpu(data.train[:1])
