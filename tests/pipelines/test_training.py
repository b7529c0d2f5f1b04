"""The training pipeline: what training sees is what scoring sees, moved and coloured as drawn."""

import numpy as np
import pytest

from hambatch.errors import BackendError, InputError
from hambatch.pipelines import training as module
from hambatch.pipelines.dali_lane import DaliLane
from hambatch.pipelines.training import FILL, training_batches, training_graph
from hambatch.training.augmentation import view_matrix
from hambatch.training.view_options import Augmentation
from tests.conftest import jpeg_bytes
from tests.pipelines.lanes import (
    BOTH_LANES,
    HOW,
    LEVELS,
    SPEC,
    files_of,
    mean_difference,
    why_no_gpu,
)
from tests.pipelines.odd import as_jpeg, picture
from tests.pipelines.profiles import in_colours_of, profile

FILES = [jpeg_bytes(k, width=300 + k, height=225) for k in range(7)]
BROKEN = [*FILES[:4], b"junk" * 50, *FILES[5:]]
SAME = np.eye(2, 3)
NEUTRAL, NO_HOLE = (1, 1, 1, 0), (0, 0, 0, 0)


class Views:
    """All files, each with the same matrix, and colours and a hole of its own."""

    def __init__(self, matrix=SAME, files=FILES, colours=(), holes=()):
        self._matrix, self._files = np.array(matrix, np.float32), files
        self._colours = [*colours, *[NEUTRAL] * len(files)]
        self._holes = [*holes, *[NO_HOLE] * len(files)]

    def __len__(self):
        return len(self._files)

    def name(self, index):
        return f"file {index}"

    def encoded(self, index):
        return np.frombuffer(self._files[index], np.uint8)

    def matrix(self, index):
        return self._matrix

    def colours(self, index):
        return np.array(self._colours[index], np.float32)

    def hole(self, index):
        return np.array(self._holes[index], np.float32)


def images(matrix=SAME, batch_size=3, **options):
    return np.concatenate(list(training_batches(Views(matrix), batch_size, SPEC, HOW, **options)))


def jittered(colours=(), holes=(), batch_size=3):
    views = Views(files=FILES[:3], colours=colours, holes=holes)
    batches = training_batches(views, batch_size, SPEC, HOW, jitter=True)
    return np.concatenate(list(batches)).astype(int)


@pytest.fixture(scope="module")
def plain():
    return images(view_matrix(Augmentation(), 0, "aa" * 32, 0, 224, 224)).astype(int)


@pytest.fixture(scope="module")
def moved():
    return images([[1, 0, 10], [0, 1, 0]])


def test_view_0_has_the_very_pixels_of_the_scoring_pipeline(plain):
    lane = DaliLane(len(FILES), 1, SPEC, HOW)
    lane.feed(files_of(FILES))
    np.testing.assert_array_equal(plain, lane.collect()[1])


def test_a_matrix_maps_the_view_to_the_image(plain, moved):
    np.testing.assert_array_equal(images([[-1, 0, 224], [0, 1, 0]]), plain[:, :, ::-1])
    np.testing.assert_array_equal(images([[0, 1, 0], [1, 0, 0]]), plain.transpose(0, 2, 1, 3))
    np.testing.assert_array_equal(moved[:, :, :-10], plain[:, :, 10:])


def test_beyond_the_border_the_border_goes_on(plain, moved):
    for column in range(-10, 0):
        np.testing.assert_array_equal(moved[:, :, column], plain[:, :, -1])


def test_batches_do_not_change_pixels(plain):
    np.testing.assert_array_equal(images(batch_size=7), plain)
    np.testing.assert_array_equal(images(batch_size=1), plain)


def test_an_undecodable_file_is_refused_by_name():
    batches = training_batches(Views(files=BROKEN), 3, SPEC, HOW)
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
    """Let GPU 0 decode on the CPU; gives the samples to refuse, and what was built."""
    refused, built = set(), []

    def build(source, batch_size, spec, how, gpu, **form):
        built.append((gpu, batch_size))
        pipeline = training_graph(source, batch_size, spec, how, **form)
        return pipeline if gpu is None else Refusing(pipeline, refused)

    monkeypatch.setattr(module, "training_graph", build)
    return refused, built


def by_gpu(files=FILES):
    return np.concatenate(list(training_batches(Views(files=files), 3, SPEC, HOW, gpu=0)))


def test_what_the_gpu_refuses_is_decoded_by_the_cpu_and_the_rest_is_not(plain, small_gpu):
    refused, built = small_gpu
    refused.add(1)
    np.testing.assert_array_equal(by_gpu(), plain)
    # The first batch one by one, the second file on the CPU; then a new pipeline goes on.
    assert built == [(0, 3), (0, 1), (0, 1), (None, 1), (0, 1), (0, 3)]


def test_what_neither_decodes_is_refused_by_name(small_gpu):
    with pytest.raises(InputError, match="file 4 cannot be decoded: nvImageCodec"):
        by_gpu(BROKEN)
    assert (None, 1) in small_gpu[1]


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


def test_neutral_colours_and_no_hole_change_nothing(plain):
    assert np.abs(jittered() - plain[:3]).max() <= 1


def test_each_view_has_its_own_colours(plain):
    found = jittered(colours=[(0.5, 1, 1, 0), NEUTRAL, (1, 1, 0, 0)])
    assert np.abs(found[0] - plain[0] / 2).max() <= 1
    assert np.abs(found[1] - plain[1]).max() <= 1
    # Without saturation it is grey.
    assert np.ptp(found[2], axis=-1).max() <= 1


def test_contrast_pulls_towards_grey_and_hue_turns_red_to_green(plain):
    found = jittered(colours=[(1, 0.5, 1, 0), (1, 1, 1, 120)])
    assert found[0].std() == pytest.approx(plain[0].std() / 2, rel=0.05)
    mean, turned = plain[1].mean(axis=(0, 1)), found[1].mean(axis=(0, 1))
    assert np.abs(turned - mean).max() > 5
    assert turned.mean() == pytest.approx(mean.mean(), rel=0.15)


def test_each_view_has_its_own_hole_and_keeps_the_rest(plain):
    found = jittered(holes=[(10, 20, 30, 40), (0, 0, 224, 224)])
    np.testing.assert_array_equal(found[0, 10:40, 20:60], np.full((30, 40, 3), FILL))
    np.testing.assert_array_equal(found[1], np.full((224, 224, 3), FILL))
    outside = np.ones((224, 224), bool)
    outside[10:40, 20:60] = False
    assert np.abs(found[0] - plain[0])[outside].max() <= 1
    assert np.abs(found[2] - plain[2]).max() <= 1


def test_neighbours_do_not_change_jittered_pixels():
    drawn = [(0.9, 1.1, 1.2, 5), (1.1, 0.9, 0.8, -5)], [(1, 2, 3, 4)]
    np.testing.assert_array_equal(jittered(*drawn), jittered(*drawn, batch_size=1))


def test_the_gpus_pipeline_is_constructed_without_a_gpu():
    assert training_graph(iter([]), 16, SPEC, HOW, 3, jitter=True).device_id == 3


def test_training_converts_colour_profiles_as_scoring_does():
    image = picture(5)
    tagged = as_jpeg(in_colours_of(image, "Adobe RGB"), icc_profile=profile("Adobe RGB"))
    batches = training_batches(Views(files=[as_jpeg(image), tagged]), 2, SPEC, HOW)
    plain, converted = next(batches).astype(int)
    assert np.abs(plain - converted).mean() < 1.5
    cut = as_jpeg(image, icc_profile=profile("Adobe RGB")[:300])
    with pytest.raises(InputError, match="file 0 cannot be decoded: colour profile cannot be used"):
        next(training_batches(Views(files=[cut]), 1, SPEC, HOW))
