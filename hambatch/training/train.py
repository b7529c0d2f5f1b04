"""`hambatch train`: from a split table to an engine, or to a report of folds."""

from pathlib import Path
from typing import Any

from hambatch.atomic import write_json
from hambatch.config import TrainOptions
from hambatch.engines.manifest import Manifest
from hambatch.errors import InputError
from hambatch.training.assembly import Trained, assemble
from hambatch.training.checkpoint import Checkpoint
from hambatch.training.compute import set_up
from hambatch.training.cross_validation import cross_validate
from hambatch.training.dataset import read_dataset
from hambatch.training.fit import fit
from hambatch.training.fold_figures import PUBLISHED
from hambatch.training.gathering import fingerprint, open_features, training_data


def train(data: Path, out: Path, cache: Path, options: TrainOptions) -> Manifest:
    """Train an engine; ``out`` appears whole, at the very end.

    Started again after an interruption, it goes on from the last epoch.

    Parameters
    ----------
    data
        Split table of ``hambatch prepare``.
    out
        Engine folder to make; work files stay in ``OUT.work``.
    cache
        Folder of cached features, shared by all runs.

    Raises
    ------
    HambatchError
        If the table leaks, images or weights are missing, ``out`` exists, the
        device cannot be had, or ``OUT.work`` belongs to another run.
    """
    _refuse_existing(out)
    dataset = read_dataset(data)
    options = set_up(options)
    features = open_features(dataset, cache, options)
    prepared = training_data(features, dataset.part("train"), dataset.part("val"), options)
    checkpoint = Checkpoint(_work_folder(out) / "log.npz", fingerprint(dataset, features, options))
    trained = Trained(dataset, features, fit(prepared, options, checkpoint), options)
    return assemble(trained, _work_folder(out) / "engine", out)


def train_folds(data: Path, out: Path, cache: Path, options: TrainOptions) -> dict[str, Any]:
    """Cross-validate the recipe instead, and write the report to ``out`` as JSON.

    Raises
    ------
    HambatchError
        As :func:`train` does.
    """
    _refuse_existing(out)
    dataset = read_dataset(data)
    options = set_up(options)
    features = open_features(dataset, cache, options)
    report = cross_validate(dataset, features, options, _work_folder(out))
    report["published"] = PUBLISHED
    write_json(out, report)
    return report


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise InputError(
            f"{out} exists already, wanted a new name.\n"
            "Next: name another --out, or delete it to train again"
        )


def _work_folder(out: Path) -> Path:
    """Make ``OUT.work``: the engine folder holds nothing but what its manifest names."""
    folder = out.with_name(out.name + ".work")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the work folder {folder}: {error.strerror}.\n"
            "Next: name an --out in a folder that you may write to"
        ) from error
    return folder
