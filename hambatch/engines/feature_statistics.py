"""`feature_statistics.npz`: where the training images lie among the network's features.

For telling how unlike the training images another is. Projections of features, not images: no
picture can be made from them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import verify_file
from hambatch.engines.manifest import FEATURE_STATISTICS, FEATURES, Manifest
from hambatch.errors import EngineError

AXES = 256
"""Directions of the features that are kept; the others share one variance."""

LARGEST = 1000
"""Units of the largest projection."""


@dataclass(frozen=True)
class FeatureStatistics:
    """Of the output ``features`` of the FP32 graph, for plain training images.

    Attributes
    ----------
    class_means
        float32 ``[7, 2048]``, in the order of the classes; images of all sources.
    axes
        float16 ``[axes, 2048]``: the principal axes of the covariance within classes, of length 1,
        the largest variance first.
    variances
        float32 ``[axes]``, along the axes.
    rest
        float32 ``[]``: the mean variance in all other directions.
    projections, unit
        float16 ``[n, axes]``: features of the images less the mean of the class means, along the
        axes, in multiples of ``unit``, a float32 ``[]``.
    labels, sources
        uint8 ``[n]``: positions in the classes, and among the sources: the split table first.
    """

    class_means: NDArray[np.float32]
    axes: NDArray[np.float16]
    variances: NDArray[np.float32]
    rest: NDArray[np.float32]
    projections: NDArray[np.float16]
    unit: NDArray[np.float32]
    labels: NDArray[np.uint8]
    sources: NDArray[np.uint8]


def statistics_of(
    features: NDArray[np.float32], labels: NDArray[np.int64], sources: NDArray[np.int64]
) -> FeatureStatistics:
    """Compute them of features ``[n, 2048]``, int64 labels ``[n]`` and int64 sources ``[n]``.

    Every class has an image at least.
    """
    exact = features.astype(np.float64)
    means = np.stack([exact[labels == label].mean(axis=0) for label in range(len(CLASSES))])
    centred = exact - means[labels]
    _, deviations, directions = np.linalg.svd(centred, full_matrices=False)
    variances = deviations**2 / len(exact)
    axes = _with_fixed_signs(directions[:AXES]).astype(np.float16)
    rest = variances[AXES:].sum() / max(exact.shape[1] - len(axes), 1)
    along = (exact - means.mean(axis=0)) @ axes.astype(np.float64).T
    # So that no value is too large for float16.
    unit = np.abs(along).max(initial=0.0) / LARGEST or 1.0
    return FeatureStatistics(
        class_means=means.astype(np.float32),
        axes=axes,
        variances=variances[:AXES].astype(np.float32),
        rest=np.array(rest, np.float32),
        projections=(along / unit).astype(np.float16),
        unit=np.array(unit, np.float32),
        labels=labels.astype(np.uint8),
        sources=sources.astype(np.uint8),
    )


def _with_fixed_signs(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn each axis so that its largest component is positive: a library may give either."""
    largest = np.abs(axes).argmax(axis=1)
    signs: NDArray[np.float64] = np.sign(axes[np.arange(len(axes)), largest])
    return axes * signs[:, None]


def write_feature_statistics(folder: Path, found: FeatureStatistics) -> None:
    """Write the file; ``engine.json`` does not name it yet."""
    arrays: dict[str, Any] = {field.name: getattr(found, field.name) for field in fields(found)}
    with (folder / FEATURE_STATISTICS).open("wb") as stream:
        np.savez_compressed(stream, **arrays)


class Directions(NamedTuple):
    """Part of :class:`FeatureStatistics`: what tells how unlike its images another is."""

    class_means: NDArray[np.float32]
    axes: NDArray[np.float16]


def read_feature_statistics(folder: Path, manifest: Manifest) -> FeatureStatistics | None:
    """Read an engine's; None if it has none.

    Raises EngineError if the file is not the one that ``engine.json`` names, or holds other arrays.
    Nothing in it is executed.
    """
    arrays = _read(folder, manifest, tuple(field.name for field in fields(FeatureStatistics)))
    return None if arrays is None else FeatureStatistics(**arrays)


def read_directions(folder: Path, manifest: Manifest) -> Directions | None:
    """Read two arrays alone, in a fifth of the time; as :func:`read_feature_statistics`."""
    arrays = _read(folder, manifest, Directions._fields)
    return None if arrays is None else Directions(**arrays)


def _read(folder: Path, manifest: Manifest, names: Sequence[str]) -> dict[str, Any] | None:
    if FEATURE_STATISTICS not in manifest.files:
        return None
    verify_file(folder, manifest, FEATURE_STATISTICS)
    path = folder / FEATURE_STATISTICS
    try:
        with np.load(path, allow_pickle=False) as stored:
            if set(stored.files) != {field.name for field in fields(FeatureStatistics)}:
                raise ValueError(f"it has the arrays {', '.join(sorted(stored.files))}")
            found = {name: stored[name] for name in names}
        _check(found)
    except (ValueError, TypeError, BadZipFile) as error:
        raise EngineError(
            f"{path} cannot be used: {error}.\nNext: install the engine again"
        ) from error
    return found


def _check(found: Mapping[str, Any]) -> None:
    """Raise ValueError at an array of another shape or type, or a number that is not finite."""
    axes = len(found.get("variances", found["axes"]))
    images = len(found.get("labels", ()))
    wanted: dict[str, tuple[str, tuple[int, ...]]] = {
        "class_means": ("float32", (len(CLASSES), FEATURES)),
        "axes": ("float16", (axes, FEATURES)),
        "variances": ("float32", (axes,)),
        "rest": ("float32", ()),
        "projections": ("float16", (images, axes)),
        "unit": ("float32", ()),
        "labels": ("uint8", (images,)),
        "sources": ("uint8", (images,)),
    }
    for name, array in found.items():
        kind, shape = wanted[name]
        if (array.dtype.name, array.shape) != (kind, shape):
            raise ValueError(f"{name} is {array.dtype} {array.shape}, wanted {kind} {shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has values that are not finite")
