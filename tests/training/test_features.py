"""Features through the cache, with a base of a few weights in place of ResNet50."""

from pathlib import Path

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.system.array_cache import Pair
from hambatch.system.files import sha256_of_bytes
from hambatch.training import features as module
from hambatch.training.features import Features, weights_sha256
from hambatch.training.options import Augmentation
from tests.conftest import jpeg_bytes


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
    options = {"augmentation": Augmentation(), "seed": 0} | changes
    return Features(base, files, tmp_path / "cache", **options)


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
    monkeypatch.setattr(module._Samples, "encoded", None)
    np.testing.assert_array_equal(open_features(base, files, tmp_path).read(pairs), first)


def test_a_run_that_died_goes_on_where_it_stopped(base, files, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BATCHES_A_BLOCK", 1)
    monkeypatch.setattr(module, "BATCH", 8)
    pairs = [Pair(image, 0) for image in sorted(files)]
    real = module._Samples.encoded

    def dies(self, index):
        if index >= 36:
            raise KeyboardInterrupt
        return real(self, index)

    monkeypatch.setattr(module._Samples, "encoded", dies)
    features = open_features(base, files, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        features.compute(pairs)
    read = []
    monkeypatch.setattr(
        module._Samples, "encoded", lambda s, i: read.append(s.name(i)) or real(s, i)
    )
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
    assert weights_sha256(base) == weights_sha256(small_base()) != weights_sha256(other)
    first = open_features(base, files, tmp_path).read([pair])
    assert (first != open_features(other, files, tmp_path).read([pair])).any()


def test_a_file_that_changed_since_the_split_is_refused(base, files, tmp_path):
    image, path = next(iter(files.items()))
    path.write_bytes(jpeg_bytes(1000))
    with pytest.raises(InputError, match=r"0\.jpg is not the file that was split"):
        open_features(base, files, tmp_path).compute([Pair(image, 0)])


def test_a_missing_file_is_refused_by_name(base, files, tmp_path):
    image, path = next(iter(files.items()))
    path.unlink()
    with pytest.raises(InputError, match=r"0\.jpg cannot be read"):
        open_features(base, files, tmp_path).compute([Pair(image, 0)])
