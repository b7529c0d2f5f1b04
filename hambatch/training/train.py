"""`hambatch train`: from a split table to an engine, or to a report of folds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from hambatch.engines.manifest import Manifest
from hambatch.errors import InputError
from hambatch.evaluation.out_of_fold import read_out_of_fold_record, refuse_other_networks
from hambatch.system.files import write_json
from hambatch.training.assembly import assemble
from hambatch.training.compute import set_up
from hambatch.training.dataset import (
    Dataset,
    read_dataset,
    refuse_near_duplicates_in,
    with_near_duplicates_joined,
)
from hambatch.training.export.export import MIN_IMAGES
from hambatch.training.folds import PUBLISHED, cross_validate
from hambatch.training.options import TrainOptions, chosen_options
from hambatch.training.recipes import FOLDS, RECIPES, refuse_combinations
from hambatch.training.state_file import work_folder


def refuse_unmeasurable(dataset: Dataset, path: Path, options: TrainOptions) -> None:
    """Refuse a table without test images, or without enough that a training is validated with.

    Raises
    ------
    InputError
        Naming how many there are.
    """
    final = options.recipe == "finetune" and options.finetune.final
    for part, fewest in (("test", 1), ("val", 0 if final else MIN_IMAGES)):
        found = len(dataset.part(part))
        if found < fewest:
            raise InputError(
                f"{path} has {found} images of split {part}, wanted at least {fewest}.\n"
                "Next: hambatch prepare HAM10000_DIR --out split.csv, with larger fractions"
            )


def refuse_predictions(path: Path, dataset: Dataset, options: TrainOptions) -> None:
    """Refuse predictions that no temperature of this training can be fitted on.

    Raises
    ------
    InputError
        If the training is validated, which has a temperature of its own, or the table is not
        one of predictions by networks of this recipe on this split table.
    """
    if not (options.recipe == "finetune" and options.finetune.final):
        raise InputError(
            "--out-of-fold is for --recipe finetune --final; any other training fits its "
            "temperature on the validation images.\nNext: hambatch train without --out-of-fold"
        )
    record = read_out_of_fold_record(path)
    if record is None:
        raise InputError(
            f"{path} has no record beside it that says it is out of fold; wanted out_of_fold.csv "
            "of the work folder of a training with validation, or with --folds.\n"
            "Next: hambatch train with the same options, without --final"
        )
    refuse_other_networks(path, record, dataset.split_sha256, chosen_options(options))


def train(
    data: Path, out: Path, cache: Path, options: TrainOptions, out_of_fold: Path | None = None
) -> Manifest:
    """Train an engine; ``out`` appears whole, at the very end.

    Started again after an interruption, it goes on from its last checkpoint.

    Parameters
    ----------
    data
        Split table of ``hambatch prepare``.
    out
        Engine folder to make; work files stay in ``OUT.work``.
    cache
        Folder of cached features, shared by all runs.
    out_of_fold
        Predictions to fit the temperature of a final training on, whose own images are all seen.

    Raises
    ------
    HambatchError
        If the table leaks, images or weights are missing, ``out`` exists, the
        device cannot be had, ``OUT.work`` belongs to another run, the recipe
        cannot do what is asked, or the predictions are of another one.
    """
    _refuse_existing(out)
    refuse_combinations(options)
    dataset = read_dataset(data)
    refuse_unmeasurable(dataset, data, options)
    if out_of_fold is not None:
        refuse_predictions(out_of_fold, dataset, options)
    refuse_near_duplicates_in(dataset, data)
    options = set_up(options)
    trained = RECIPES[options.recipe](dataset, out, cache, options)
    return assemble(trained, work_folder(out) / "engine", out, out_of_fold)


def train_folds(data: Path, out: Path, cache: Path, options: TrainOptions) -> dict[str, Any]:
    """Cross-validate the recipe instead, and write the report to ``out`` as JSON.

    The published recipe on the whole table, fine-tuning on all but its test part.

    Raises
    ------
    HambatchError
        As :func:`train` does.
    """
    _refuse_existing(out)
    refuse_combinations(options)
    dataset = read_dataset(data)
    if options.recipe == "finetune":
        # Its folds choose a step and a temperature; the test part chooses nothing.
        dataset = replace(dataset, table=dataset.table[dataset.table["split"] != "test"])
    dataset = with_near_duplicates_joined(dataset, data)
    options, work = set_up(options), work_folder(out)
    folds = FOLDS[options.recipe](dataset, cache, options, work)
    report = cross_validate(dataset, folds, options, work)
    report["published"] = PUBLISHED
    write_json(out, report)
    return report


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise InputError(
            f"{out} exists already, wanted a new name.\n"
            "Next: name another --out, or delete it to train again"
        )
