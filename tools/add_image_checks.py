"""Give an engine that was trained without them the limits of image checks.

    python tools/add_image_checks.py ENGINE_DIR split.csv [--other "ISIC 2017.csv"]

An engine of `hambatch train` has them. The images of the parts that the engine was trained on are
scored by its FP32 graph, with those of other sources that are no smaller than the network's input:
the part train of tables as `benchmarks/other_source.py` writes them, named by the file. Nothing but
``image_checks.json`` and its entry in ``engine.json`` changes.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hambatch.backends import load_backend
from hambatch.engines.backend_names import BACKEND_OF_GATES, FP32
from hambatch.engines.feature_statistics import read_directions
from hambatch.engines.image_checks import write_image_checks
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import Manifest
from hambatch.errors import EngineError
from hambatch.ham10000.table import dataset_root, read_split
from hambatch.pipelines.decode import decode
from hambatch.risk.pixel_measures import PixelMeasures, measure
from hambatch.system.cpu import available_cores
from hambatch.training.image_checks import image_checks_of
from hambatch.types import Batch

IMAGES_AT_ONCE = 256


def main() -> None:
    """Score, choose the limits and write them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("engine", type=Path)
    parser.add_argument("split", type=Path)
    parser.add_argument("--other", type=Path, action="append", default=[])
    chosen = parser.parse_args()
    engine = load_engine(chosen.engine)
    manifest = engine.manifest
    directions = read_directions(engine.folder, manifest)
    if directions is None:
        raise EngineError(f"{chosen.engine} has no feature statistics.\nNext: train it again")
    files = files_of(chosen.split, manifest.trained_on)
    for table in chosen.other:
        files += files_of(table, ("train",))
    backend = load_backend(BACKEND_OF_GATES, engine, FP32, available_cores())
    measures: list[PixelMeasures] = []
    features = [scored.features for scored in backend.predict(batches(files, measures, manifest))]
    sources = (manifest.data_name, *(table.stem for table in chosen.other))
    found = image_checks_of(np.concatenate(features), measures, directions, sources)
    write_image_checks(chosen.engine, found)
    write_manifest(chosen.engine, manifest)
    print(found)


def files_of(table: Path, parts: Sequence[str]) -> list[Path]:
    """Find the images of these parts of a split table."""
    rows, root = read_split(table), dataset_root(table)
    return [root / name for name in rows[rows["split"].isin(parts)]["file"]]


def batches(
    files: Sequence[Path], measures: list[PixelMeasures], manifest: Manifest
) -> Iterator[Batch]:
    """Decode the images as a run does, and add their measures."""
    for first in range(0, len(files), IMAGES_AT_ONCE):
        some = files[first : first + IMAGES_AT_ONCE]
        images, nothing = decode(some, manifest.input, manifest.preprocessing), [""] * len(some)
        measures += map(measure, images)
        yield Batch(np.arange(first, first + len(some)), images, nothing, nothing)


if __name__ == "__main__":
    main()
