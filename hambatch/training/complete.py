"""`hambatch engines complete`: give an engine the list of the images that it was trained on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hambatch.engines.loading import Engine, load_engine
from hambatch.engines.manifest import MANIFEST_NAME, TRAINING_IMAGES
from hambatch.engines.training_images import write_training_images
from hambatch.errors import InputError
from hambatch.ham10000.image_ids import HAM10000
from hambatch.system.files import sha256_of_file, with_checksum, write_json
from hambatch.system.schema import read_json_file
from hambatch.training.dataset import Dataset, read_dataset
from hambatch.training.held_out import refuse_other_split_table


def complete_engine(folder: Path, split: Path, report: Callable[[str], None]) -> None:
    """Write the list beside the graphs, and name it in ``engine.json``; all else stays.

    Tables and journals of the engine stay its own. Raises EngineError if the engine is damaged;
    InputError if the table is not the one that it was trained with, or nothing can be written.
    """
    engine, dataset = load_engine(folder), read_dataset(split)
    refuse_other_split_table(engine, dataset)
    _refuse_untrained(engine, dataset, split)
    _refuse_extras(engine)
    found = dataset.training_images(engine.manifest.data.get("name", HAM10000))
    write_training_images(folder, found)
    _name(folder)
    unseen = sum(not image.picture for image in found.images)
    note = f"; {unseen} could not be read, so their pictures are not known" if unseen else ""
    report(
        f"{engine.manifest.name}: {TRAINING_IMAGES} lists {len(found.images)} images of the splits "
        f"train and val of {split.name}{note}"
    )


def _name(folder: Path) -> None:
    """Add the entry and the checksum; no other value of ``engine.json`` changes."""
    path, listed = folder / MANIFEST_NAME, folder / TRAINING_IMAGES
    values = read_json_file(path, dict[str, Any])
    values["files"][TRAINING_IMAGES] = {
        "sha256": sha256_of_file(listed),
        "bytes": listed.stat().st_size,
        "optional": False,
    }
    values["files"] = dict(sorted(values["files"].items()))
    write_json(path, with_checksum(values))


def _refuse_extras(engine: Engine) -> None:
    """Refuse an engine that was trained on other images too: its new list would lack them."""
    extra = engine.manifest.data.get("extra", [])
    if extra:
        names = ", ".join(str(source.get("source")) for source in extra)
        raise InputError(
            f"{engine.manifest.name} was also trained on {names}, which {MANIFEST_NAME} lists and "
            "a split table does not; wanted an engine of one table.\n"
            "Next: train the engine again, which lists all of its images"
        )


def _refuse_untrained(engine: Engine, dataset: Dataset, split: Path) -> None:
    """Refuse a table without an image of the splits that the engine was trained on."""
    if dataset.part(*engine.manifest.trained_on).empty:
        raise InputError(
            f"{split} has no image of split {' or '.join(engine.manifest.trained_on)}; wanted the "
            f"table that {engine.manifest.name} was trained with.\n"
            "Next: give --data the split.csv of its training"
        )
