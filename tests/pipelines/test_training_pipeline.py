"""The training pipeline: what training sees is what scoring sees, moved as asked."""

import numpy as np
import pytest

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.errors import BackendError, InputError
from hambatch.pipelines import training as module
from hambatch.pipelines.dali_lane import DaliScoring
from hambatch.pipelines.training import build_training_pipeline, training_batches
from hambatch.sources.reading import Fetched
from hambatch.training.augmentation import view_matrix
from hambatch.training.options import Augmentation
from tests.conftest import jpeg_bytes
from tests.pipelines.lanes import BOTH_LANES, LEVELS, mean_difference, why_no_gpu

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


class Refusing:
    """A pipeline of the CPU that stands for a GPU's, with no memory for some samples."""

    def __init__(self, pipeline, refused):
        self._pipeline, self._refused = pipeline, refused

    def build(self):
        self._pipeline.build()

    def run(self):
        images, indices = self._pipeline.run()
        if self._refused & set(np.array(indices.as_tensor()).ravel().tolist()):
            raise RuntimeError("encountered:\nCan't allocate 3221225472 bytes on device 0.")
        return images, indices


@pytest.fixture
def small_gpu(monkeypatch):
    """Let ``mixed`` decode on the CPU; gives the samples to refuse, and what was built."""
    refused, built = set(), []

    def build(source, batch_size, spec, how, device="cpu", device_id=0):
        built.append((device, batch_size))
        pipeline = build_training_pipeline(source, batch_size, spec, how)
        return Refusing(pipeline, refused) if device == "mixed" else pipeline

    monkeypatch.setattr(module, "build_training_pipeline", build)
    return refused, built


def by_gpu(files=FILES):
    batches = training_batches(
        Views(np.eye(2, 3), files), 3, InputSpec(), Preprocessing(), "mixed", 0
    )
    return np.concatenate(list(batches))


def test_what_the_gpu_refuses_is_decoded_by_the_cpu_and_the_rest_is_not(plain, small_gpu):
    refused, built = small_gpu
    refused.add(1)
    np.testing.assert_array_equal(by_gpu(), plain)
    # The first batch one by one, the second file on the CPU; then a new pipeline goes on.
    alone = [("mixed", 1), ("mixed", 1), ("cpu", 1), ("mixed", 1)]
    assert built == [("mixed", 3), *alone, ("mixed", 3)]


def test_what_neither_decodes_is_refused_by_name(small_gpu):
    broken = [*FILES[:4], b"junk" * 50, *FILES[5:]]
    with pytest.raises(InputError, match="file 4 cannot be decoded: nvImageCodec"):
        by_gpu(broken)
    assert ("cpu", 1) in small_gpu[1]


@pytest.mark.parametrize("kind", BOTH_LANES)
def test_the_gpus_batches_are_the_cpus_but_for_a_level(kind, plain, request):
    if kind == "host":
        request.getfixturevalue("small_gpu")
    elif reason := why_no_gpu():
        pytest.skip(reason)
    assert mean_difference(by_gpu(), plain) <= LEVELS[kind]


def test_without_a_gpu_it_is_refused_with_the_way_out():
    if not why_no_gpu():
        pytest.skip("there is a GPU here")
    with pytest.raises(BackendError, match=r"(?s)DALI cannot use GPU 0: .*\nNext: "):
        by_gpu()
