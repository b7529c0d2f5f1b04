"""Batches of steps: the same wherever a run begins, and no plain image among them."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.pipelines.dali_lane import DaliLane
from hambatch.sources.reading import Fetched
from tests.conftest import jpeg_bytes
from tests.pipelines.lanes import HOW, SPEC
from tests.training.finetuning.tiny import OPTIONS, tuning_data


@pytest.fixture
def data(tmp_path):
    return tuning_data(tmp_path)


def test_a_step_has_the_same_batch_wherever_the_run_begins(data):
    whole = list(islice(data.batches(0, OPTIONS), 7))
    for images, labels in islice(data.batches(5, OPTIONS), 2):
        wanted_images, wanted_labels = whole.pop(5)
        np.testing.assert_array_equal(images, wanted_images)
        np.testing.assert_array_equal(labels, wanted_labels)


def test_there_are_as_many_whole_batches_as_steps_are_left(data):
    left = list(data.batches(OPTIONS.finetune.steps - 2, OPTIONS))
    assert [images.shape for images, _ in left] == [(8, 224, 224, 3)] * 2
    assert [labels.shape for _, labels in left] == [(8,)] * 2


def test_another_seed_gives_other_views(data, tmp_path):
    other = replace(OPTIONS, seed=1)
    images, _ = next(data.batches(0, OPTIONS))
    others, _ = next(tuning_data(tmp_path, other).batches(0, other))
    assert (images != others).any()


def test_each_image_has_the_label_of_its_file(data):
    names = {image: int(path.name[0]) for image, path in data.pictures.files.items()}
    assert [names[image] for image in data.train] == data.labels.tolist()
    # Six of seven hues stay nearest to their own class's under jitter; grey borders do not hide it.
    images, labels = next(data.batches(0, replace(OPTIONS, batch_size=8)))
    plain = {}
    for image, label in zip(data.train, data.labels.tolist(), strict=True):
        plain[label] = data.pictures.on_cpu([image])[0].mean(axis=(0, 1))
    nearest = [
        min(plain, key=lambda label: np.abs(plain[label] - picture.mean(axis=(0, 1))).sum())
        for picture in images
    ]
    assert np.mean(nearest == labels) >= 0.7


def test_plain_pictures_are_those_that_scoring_sees(data):
    lane = DaliLane(len(data.val), 1, SPEC, HOW)
    contents = [data.pictures.files[image].read_bytes() for image in data.val]
    lane.feed([Fetched(k, content, "") for k, content in enumerate(contents)])
    np.testing.assert_array_equal(data.pictures.on_cpu(data.val), lane.collect()[1])


def test_a_file_that_changed_since_the_split_is_refused_by_name(data):
    data.pictures.files[data.train[0]].write_bytes(jpeg_bytes(1))
    with pytest.raises(InputError, match=r"0_2\.jpg is not the file that was split"):
        list(data.batches(0, OPTIONS))
