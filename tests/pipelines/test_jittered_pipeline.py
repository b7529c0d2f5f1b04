"""Jitter in the training pipeline: each view its own, and nothing else is changed."""

import numpy as np
import pytest

from hambatch.pipelines.training import FILL, build_training_pipeline, training_batches
from tests.conftest import jpeg_bytes
from tests.pipelines.lanes import HOW, SPEC

FILES = [jpeg_bytes(k, width=300, height=225) for k in range(3)]
NEUTRAL, NO_HOLE = (1, 1, 1, 0), (0, 0, 0, 0)


class Views:
    """All files as they are, each with colours and a hole of its own."""

    def __init__(self, colours=(NEUTRAL,) * 3, holes=(NO_HOLE,) * 3):
        self._colours, self._holes = np.array(colours, np.float32), np.array(holes, np.float32)

    def __len__(self):
        return len(FILES)

    def name(self, index):
        return f"file {index}"

    def encoded(self, index):
        return np.frombuffer(FILES[index], np.uint8)

    def matrix(self, index):
        return np.eye(2, 3, dtype=np.float32)

    def colours(self, index):
        return self._colours[index]

    def hole(self, index):
        return self._holes[index]


def images(views, jitter=True, batch_size=3):
    batches = training_batches(views, batch_size, SPEC, HOW, jitter=jitter)
    return np.concatenate(list(batches)).astype(int)


@pytest.fixture(scope="module")
def plain():
    return images(Views(), jitter=False)


def test_neutral_colours_and_no_hole_change_nothing(plain):
    assert np.abs(images(Views()) - plain).max() <= 1


def test_each_view_has_its_own_colours(plain):
    found = images(Views(colours=[(0.5, 1, 1, 0), NEUTRAL, (1, 1, 0, 0)]))
    assert np.abs(found[0] - plain[0] / 2).max() <= 1
    assert np.abs(found[1] - plain[1]).max() <= 1
    # Without saturation it is grey.
    assert np.ptp(found[2], axis=-1).max() <= 1


def test_contrast_pulls_towards_grey_and_hue_turns_red_to_green(plain):
    found = images(Views(colours=[(1, 0.5, 1, 0), (1, 1, 1, 120), NEUTRAL]))
    assert found[0].std() == pytest.approx(plain[0].std() / 2, rel=0.05)
    mean, turned = plain[1].mean(axis=(0, 1)), found[1].mean(axis=(0, 1))
    assert np.abs(turned - mean).max() > 5
    assert turned.mean() == pytest.approx(mean.mean(), rel=0.15)


def test_each_view_has_its_own_hole_and_keeps_the_rest(plain):
    found = images(Views(holes=[(10, 20, 30, 40), (0, 0, 224, 224), NO_HOLE]))
    np.testing.assert_array_equal(found[0, 10:40, 20:60], np.full((30, 40, 3), FILL))
    np.testing.assert_array_equal(found[1], np.full((224, 224, 3), FILL))
    outside = np.ones((224, 224), bool)
    outside[10:40, 20:60] = False
    assert np.abs(found[0] - plain[0])[outside].max() <= 1
    assert np.abs(found[2] - plain[2]).max() <= 1


def test_neighbours_do_not_change_pixels():
    colours = [(0.9, 1.1, 1.2, 5), (1.1, 0.9, 0.8, -5), NEUTRAL]
    views = Views(colours, [(1, 2, 3, 4), NO_HOLE, NO_HOLE])
    np.testing.assert_array_equal(images(views), images(views, batch_size=1))


def test_the_gpus_pipeline_is_constructed_without_a_gpu():
    pipeline = build_training_pipeline(iter([]), 16, SPEC, HOW, "mixed", 3, jitter=True)
    assert pipeline.device_id == 3
