"""Feature statistics: what they say of the images, and files that are refused."""

from dataclasses import replace

import numpy as np
import pytest

from hambatch.engines.feature_statistics import (
    read_feature_statistics,
    statistics_of,
    write_feature_statistics,
)
from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import FEATURE_STATISTICS, Manifest
from hambatch.errors import EngineError


@pytest.fixture(scope="module")
def features():
    """Images of seven classes that vary along three directions of their own."""
    draw = np.random.default_rng(0)
    labels = np.arange(350) % 7
    centres = draw.normal(0, 3, (7, 2048))
    directions, _ = np.linalg.qr(draw.normal(0, 1, (2048, 3)))
    spread = draw.normal(0, 1, (350, 3)) * [5, 3, 2] @ directions.T
    return (centres[labels] + spread + draw.normal(0, 0.01, (350, 2048))).astype(np.float32), labels


@pytest.fixture(scope="module")
def found(features):
    values, labels = features
    return statistics_of(values, labels, (np.arange(350) >= 300).astype(np.int64))


def test_the_axes_are_those_along_which_images_of_a_class_differ(found) -> None:
    deviations = np.sqrt(found.variances[:4])
    np.testing.assert_allclose(deviations[:3], [5, 3, 2], rtol=0.15)
    assert deviations[3] < 0.2
    assert found.rest < found.variances[3]


def test_projections_are_of_each_image_along_the_axes(found, features) -> None:
    values, labels = features
    means = found.class_means.astype(np.float64)
    axes = found.axes.astype(np.float64).T
    along = found.projections.astype(np.float64) * found.unit
    np.testing.assert_allclose(along, (values - means.mean(axis=0)) @ axes, atol=0.05)
    within = along - (means[labels] - means.mean(axis=0)) @ axes
    np.testing.assert_allclose(within[:, :3].std(axis=0), [5, 3, 2], rtol=0.15)
    assert found.sources.tolist() == [0] * 300 + [1] * 50
    np.testing.assert_allclose(found.class_means[2], values[labels == 2].mean(axis=0), atol=1e-3)


def test_one_image_of_each_class_has_statistics_too() -> None:
    values = np.random.default_rng(1).normal(0, 1, (7, 2048)).astype(np.float32)
    one = statistics_of(values, np.arange(7), np.zeros(7, np.int64))
    assert one.variances.max() < 1e-9
    assert np.isfinite(one.projections).all()


@pytest.fixture
def engine(tmp_path, found):
    write_feature_statistics(tmp_path, found)
    return tmp_path, write_manifest(tmp_path, Manifest("a", "1", {}, ()))


def test_what_is_written_is_read_back(engine, found) -> None:
    again = read_feature_statistics(*engine)
    assert again is not None
    np.testing.assert_array_equal(again.projections, found.projections)
    folder, manifest = engine
    assert read_feature_statistics(folder, replace(manifest, files={})) is None


def test_the_same_images_give_the_same_bytes(engine, found, tmp_path_factory) -> None:
    other = tmp_path_factory.mktemp("again")
    write_feature_statistics(other, found)
    wanted = (engine[0] / FEATURE_STATISTICS).read_bytes()
    assert (other / FEATURE_STATISTICS).read_bytes() == wanted


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"labels": np.zeros(3, np.uint8)}, "projections is float16"),
        ({"axes": np.zeros((256, 2048), np.float64)}, "axes is float64"),
        ({"rest": np.array(np.nan, np.float32)}, "rest has values that are not finite"),
        ({"class_means": np.array([None] * 7, object)}, "allow_pickle"),
    ],
)
def test_other_arrays_are_refused_and_nothing_is_executed(tmp_path, found, wrong, says) -> None:
    write_feature_statistics(tmp_path, replace(found, **wrong))
    manifest = write_manifest(tmp_path, Manifest("a", "1", {}, ()))
    with pytest.raises(EngineError, match=says):
        read_feature_statistics(tmp_path, manifest)


def test_a_file_that_was_changed_since_is_refused(engine) -> None:
    folder, manifest = engine
    content = bytearray((folder / FEATURE_STATISTICS).read_bytes())
    content[200] ^= 1
    (folder / FEATURE_STATISTICS).write_bytes(content)
    with pytest.raises(EngineError, match="sha256"):
        read_feature_statistics(folder, manifest)
