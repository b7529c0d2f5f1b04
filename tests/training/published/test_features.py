"""Features through the cache, with a base of a few weights in place of ResNet50."""

import json
from pathlib import Path

import numpy as np
import pytest

from hambatch.backends.keras_network import build_base, in_mixed_precision
from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.errors import InputError
from hambatch.system.array_cache import Pair
from hambatch.system.files import sha256_of_bytes
from hambatch.training.options import TrainOptions
from hambatch.training.published import features as module
from hambatch.training.published.features import Features
from hambatch.training.recipe import PIPELINE_VERSION, sha256_of_weights
from hambatch.training.views import Samples
from tests.conftest import jpeg_bytes
from tests.pipelines.lanes import why_no_gpu


def small_base(seed: int = 0, pool: int = 32):
    import keras

    return keras.Sequential(
        [
            keras.Input((224, 224, 3)),
            keras.layers.AveragePooling2D(pool),
            keras.layers.Flatten(),
            keras.layers.Dense(
                2048, kernel_initializer=keras.initializers.GlorotUniform(seed=seed)
            ),
        ]
    )


@pytest.fixture(scope="module")
def base():
    return small_base()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for k in range(40):
        content = jpeg_bytes(k)
        path = tmp_path / f"{k}.jpg"
        path.write_bytes(content)
        found[sha256_of_bytes(content)] = path
    return found


def open_features(base, files, tmp_path, **changes):
    return Features(base, files, tmp_path / "cache", TrainOptions(**{"device": "cpu"} | changes))


def blocks(tmp_path: Path) -> list[str]:
    return sorted(path.parent.name for path in tmp_path.glob("cache/*/*.npy"))


def test_a_row_is_the_same_alone_and_among_others(base, files, tmp_path):
    pairs = [Pair(image, view) for image in files for view in (0, 1)]
    together = open_features(base, files, tmp_path).read(pairs)
    assert together.shape == (80, 2048)
    for k in (0, 33, 79):
        alone = open_features(base, files, tmp_path / str(k)).read([pairs[k]])
        np.testing.assert_array_equal(alone[0], together[k])


def test_what_is_cached_is_not_computed_again(base, files, tmp_path, monkeypatch):
    pairs = [Pair(image, view) for image in files for view in (0, 1)]
    first = open_features(base, files, tmp_path).read(pairs)
    monkeypatch.setattr(Samples, "encoded", None)
    np.testing.assert_array_equal(open_features(base, files, tmp_path).read(pairs), first)


def test_a_run_that_died_goes_on_where_it_stopped(base, files, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCHES_A_BLOCK", 1)
    monkeypatch.setattr(module, "BATCH", 8)
    pairs = [Pair(image, 0) for image in sorted(files)]
    real = Samples.encoded

    def dies(self, index):
        if index >= 36:
            raise KeyboardInterrupt
        return real(self, index)

    monkeypatch.setattr(Samples, "encoded", dies)
    features = open_features(base, files, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        features.compute(pairs)
    read = []
    monkeypatch.setattr(Samples, "encoded", lambda s, i: read.append(s.name(i)) or real(s, i))
    open_features(base, files, tmp_path).compute(pairs)
    # Batches in flight when it died are read again: at most DALI's two and the one in hand.
    assert 8 <= len(read) <= 24


def test_plain_images_are_shared_by_seeds_and_views_are_not(base, files, tmp_path):
    pairs = [Pair(image, view) for image in list(files)[:2] for view in (0, 1)]
    first = open_features(base, files, tmp_path).read(pairs)
    assert len(blocks(tmp_path)) == 2
    second = open_features(base, files, tmp_path, seed=1).read(pairs)
    assert len(blocks(tmp_path)) == 3
    np.testing.assert_array_equal(first[::2], second[::2])
    assert (first[1::2] != second[1::2]).any(axis=1).all()


def test_other_weights_have_a_cache_of_their_own(base, files, tmp_path):
    pair = Pair(next(iter(files)), 0)
    other = small_base(seed=1)
    assert sha256_of_weights(base) == sha256_of_weights(small_base()) != sha256_of_weights(other)
    first = open_features(base, files, tmp_path).read([pair])
    assert (first != open_features(other, files, tmp_path).read([pair])).any()


def rows_of(features: Features) -> np.ndarray:
    images = list(features.views.files)[:3]
    return features.read([Pair(image, view) for image in images for view in (0, 1)])


def test_the_default_computes_and_caches_as_it_always_did(base, files, tmp_path: Path) -> None:
    features = open_features(base, files, tmp_path)
    key = {
        "weights": sha256_of_weights(base),
        "input": vars(InputSpec()),
        "preprocessing": vars(Preprocessing()),
        "pipeline": PIPELINE_VERSION,
    }
    name = sha256_of_bytes(json.dumps(key, sort_keys=True).encode())[:24]
    assert features._plain.folder.name == name


@pytest.mark.parametrize("other", [{"device": "gpu"}, {"xla": True}, {"mixed_precision": True}])
def test_what_is_computed_otherwise_is_cached_apart(base, files, tmp_path: Path, other) -> None:
    usual, apart = (open_features(base, files, tmp_path, **c) for c in ({}, other))
    assert usual._plain.folder != apart._plain.folder
    assert usual._augmented.folder != apart._augmented.folder


@pytest.mark.parametrize(
    ("compute", "apart"),
    [
        ({"xla": True}, 1e-4),
        ({"mixed_precision": True}, 2e-2),
        pytest.param({"device": "gpu"}, 2e-2, marks=pytest.mark.gpu),
        pytest.param({"device": "gpu", "xla": True}, 2e-2, marks=pytest.mark.gpu),
        pytest.param({"device": "gpu", "mixed_precision": True}, 2e-2, marks=pytest.mark.gpu),
    ],
    ids=str,
)
def test_features_are_the_cpus_but_for_rounding(
    files, tmp_path: Path, compute: dict, apart: float
) -> None:
    if "device" in compute and (reason := why_no_gpu()):
        pytest.skip(reason)
    base = small_base(pool=16)
    usual = rows_of(open_features(base, files, tmp_path))
    found = rows_of(open_features(base, files, tmp_path, **compute))
    assert found.dtype == np.float32
    assert (found != usual).any()
    assert np.abs(found - usual).max() <= apart * np.abs(usual).max()


def test_features_that_overflow_float16_are_refused(files, tmp_path: Path) -> None:
    # It sums 32 x 32 values of up to 150.
    features = open_features(small_base(pool=32), files, tmp_path, mixed_precision=True)
    with pytest.raises(InputError, match=r"(?s)not finite.*\nNext: .*--mixed-precision"):
        rows_of(features)


def test_the_base_in_mixed_precision_keeps_its_float32_weights() -> None:
    base = build_base(None)
    twin = in_mixed_precision(base)
    convolutions = [layer for layer in twin.layers if "conv" in layer.name]
    assert len(convolutions) > 50
    assert {layer.compute_dtype for layer in convolutions} == {"float16"}
    assert all(weight.dtype == "float32" for weight in twin.weights)
    for ours, theirs in zip(base.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert base.layers[1].compute_dtype == "float32"
