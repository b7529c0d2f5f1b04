"""Limits that would flag nothing, or everything, are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from hambatch.engines.feature_statistics import statistics_of, write_feature_statistics
from hambatch.engines.image_checks import (
    Colour,
    ImageChecks,
    Limits,
    read_image_checks,
    write_image_checks,
)
from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import FEATURES, IMAGE_CHECKS, Manifest
from hambatch.errors import EngineError

COLOUR = Colour((0.2, 0.0), ((50.0, -2.0), (-2.0, 130.0)), 16.0)
LIMITS = Limits(2.5, 112.0, 228.0, 0.08, 8.7, 0.23, 14.0, COLOUR, 0.038)
CHECKS = ImageChecks(LIMITS, 5641, ("HAM10000",), 0.005, 0.003, 0.026)


def written(folder: Path, change: dict[str, Any]) -> Manifest:
    import numpy as np

    features = np.random.default_rng(0).normal(size=(14, FEATURES)).astype(np.float32)
    labels = np.arange(14) % 7
    write_feature_statistics(folder, statistics_of(features, labels, np.zeros(14, np.int64)))
    write_image_checks(folder, CHECKS)
    values = json.loads((folder / IMAGE_CHECKS).read_text())
    for place, value in change.items():
        part = values
        *steps, last = place.split(".")
        for step in steps:
            part = part[step]
        part[last] = value
    (folder / IMAGE_CHECKS).write_text(json.dumps(values))
    return write_manifest(folder, Manifest("tiny", "1", {}, ()))


def test_limits_come_back_with_the_directions_of_the_features(tmp_path: Path) -> None:
    found = read_image_checks(tmp_path, written(tmp_path, {}))
    assert found is not None
    assert found[0] == CHECKS
    assert found[1].axes.shape == (14, FEATURES)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("version", 2),
        ("limits.most_ood", 0.0),
        ("limits.most_ood", 1e308),
        ("limits.least_light", -1.0),
        ("limits.most_black", 1.5),
        ("limits.least_sharpness", None),
        ("limits.colour.precision", [[1.0, 2.0], [2.0, 1.0]]),
        ("limits.colour.precision", [[-1.0, 0.0], [0.0, -1.0]]),
        ("limits.colour.most", 0.0),
        ("images", 0),
    ],
)
def test_other_limits_are_refused(tmp_path: Path, place: str, value: object) -> None:
    manifest = written(tmp_path, {place: value})
    with pytest.raises(EngineError, match=f"{IMAGE_CHECKS} cannot be used: "):
        read_image_checks(tmp_path, manifest)


def test_an_engine_without_the_file_has_no_limits(tmp_path: Path) -> None:
    assert read_image_checks(tmp_path, Manifest("tiny", "1", {}, ())) is None
