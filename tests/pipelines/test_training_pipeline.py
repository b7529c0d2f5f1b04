"""The training pipeline: what training sees is what scoring sees, moved as asked."""

import numpy as np
import pytest

from hambatch.config import Augmentation
from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.errors import InputError
from hambatch.pipelines.dali_scoring import DaliScoring
from hambatch.pipelines.training import build_training_pipeline, training_batches
from hambatch.sources.reading import Fetched
from hambatch.training.augmentation import view_matrix
from tests.conftest import jpeg_bytes

FILES = [jpeg_bytes(k, width=300 + k, height=225) for k in range(7)]


class Views:
    """All files, each with the same matrix."""

    def __init__(self, matrix, files=FILES):
        self._matrix, self._files = np.array(matrix, np.float32), files

    def __len__(self):
        return len(self._files)

    def name(self, index):
        return f"file {index}"

    def encoded(self, index):
        return np.frombuffer(self._files[index], np.uint8)

    def matrix(self, index):
        return self._matrix


def images(matrix, batch_size=3):
    batches = training_batches(Views(matrix), batch_size, InputSpec(), Preprocessing())
    return np.concatenate(list(batches))


@pytest.fixture(scope="module")
def plain():
    return images(view_matrix(Augmentation(), 0, "aa" * 32, 0, 224, 224))


def test_view_0_has_the_very_pixels_of_the_scoring_pipeline(plain):
    lane = DaliScoring(len(FILES), 1, InputSpec(), Preprocessing())
    lane.feed([Fetched(k, content, "") for k, content in enumerate(FILES)])
    np.testing.assert_array_equal(plain, lane.collect()[1])


def test_a_matrix_maps_the_view_to_the_image(plain):
    np.testing.assert_array_equal(images([[-1, 0, 224], [0, 1, 0]]), plain[:, :, ::-1])
    np.testing.assert_array_equal(images([[0, 1, 0], [1, 0, 0]]), plain.transpose(0, 2, 1, 3))
    moved = images([[1, 0, 10], [0, 1, 0]])
    np.testing.assert_array_equal(moved[:, :, :-10], plain[:, :, 10:])


def test_beyond_the_border_the_border_goes_on(plain):
    moved = images([[1, 0, 10], [0, 1, 0]])
    for column in range(-10, 0):
        np.testing.assert_array_equal(moved[:, :, column], plain[:, :, -1])


def test_batches_do_not_change_pixels(plain):
    np.testing.assert_array_equal(images(np.eye(2, 3), batch_size=7), plain)
    np.testing.assert_array_equal(images(np.eye(2, 3), batch_size=1), plain)


def test_an_undecodable_file_is_refused_by_name():
    broken = [*FILES[:4], b"junk" * 50, *FILES[5:]]
    batches = training_batches(Views(np.eye(2, 3), broken), 3, InputSpec(), Preprocessing())
    assert len(next(batches)) == 3
    with pytest.raises(InputError, match="file 4 cannot be decoded: nvImageCodec"):
        next(batches)


def test_the_gpu_pipeline_can_be_constructed():
    assert build_training_pipeline(iter([]), 4, InputSpec(), Preprocessing(), device="mixed")
