"""`hambatch train`: from a split table to an engine, or to a report of folds."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from hambatch.engines.classes import SPLITS
from hambatch.engines.manifest import Manifest
from hambatch.errors import InputError
from hambatch.evaluation.out_of_fold import read_out_of_fold_record, refuse_other_networks
from hambatch.ham10000.image_ids import HAM10000
from hambatch.system.files import followed, write_json
from hambatch.system.output_names import JSON, check_file_name, check_folder_name
from hambatch.training.assembly import assemble
from hambatch.training.compute import set_up
from hambatch.training.dataset import (
    Dataset,
    read_dataset,
    refuse_near_duplicates_in,
    with_extras,
    with_near_duplicates_joined,
)
from hambatch.training.export.export import MIN_IMAGES
from hambatch.training.finetuning.recipe import FineTuning
from hambatch.training.folds import PUBLISHED, cross_validate
from hambatch.training.mean_of_folds import fit_mean_of_folds
from hambatch.training.options import FineTuneOptions, TrainOptions
from hambatch.training.published.recipe import Published
from hambatch.training.recipe import PIPELINE_VERSION, Recipe, licence_text

RECIPES: dict[str, Callable[[Dataset, Path, TrainOptions], Recipe]] = {
    "finetune": FineTuning,
    "published": Published,
}

HALVINGS = 32
"""What the five stages of ResNet50 divide an image's side by."""


def train(
    data: Path, out: Path, cache: Path, options: TrainOptions, out_of_fold: Path | None = None
) -> Manifest:
    """Train an engine; ``out`` appears whole, at the very end.

    Started again after an interruption, it resumes from its last checkpoint.

    Parameters
    ----------
    data
        Split table of ``hambatch prepare``.
    out
        Engine folder to make; work files stay in ``OUT.work``.
    cache
        Folder of cached features, shared by all runs.
    out_of_fold
        Predictions to fit the temperature of a final training on, which holds out no images.

    Raises HambatchError if ``out`` exists, options contradict each other, the table leaks, images,
    weights or the device are missing, or ``OUT.work`` or the predictions are of another run.
    """
    check_folder_name(out)
    out = followed(out)
    _refuse_existing(out)
    refuse_combinations(options)
    licence_text(options)
    dataset = read_dataset(data)
    _refuse_unmeasurable(dataset, data, options)
    if out_of_fold is not None:
        _refuse_predictions(out_of_fold, dataset, options)
    refuse_near_duplicates_in(dataset, data)
    dataset = with_extras(dataset, options.extras)
    options, work = set_up(options), _work_folder(out)
    recipe = RECIPES[options.recipe](dataset, cache, options)
    trained = dataset.part(*options.trained_parts)
    if options.folds:
        joined = with_near_duplicates_joined(replace(dataset, table=trained), data)
        fitted = fit_mean_of_folds(joined, recipe, options, work)
    else:
        val = dataset.part("val").iloc[: 0 if options.final else None]
        fitted = recipe.fit(trained, val, work)
    return assemble(dataset, fitted, options, work / "engine", out, out_of_fold)


def train_folds(data: Path, out: Path, cache: Path, options: TrainOptions) -> dict[str, Any]:
    """Cross-validate the recipe instead, and write the report to ``out`` as JSON.

    The published recipe on train, val and test, fine-tuning on all but its test part. Raises what
    :func:`train` does.
    """
    check_file_name(out, JSON, "JSON")
    out = followed(out)
    _refuse_existing(out)
    refuse_combinations(options)
    # Against all rows: those of the test part are held out as well.
    dataset = with_extras(read_dataset(data), options.extras)
    # Folds of fine-tuning find a step and a temperature; the test part takes no part in that.
    parts = ("train", "val") if options.recipe == "finetune" else SPLITS
    dataset = replace(dataset, table=dataset.part(*parts))
    dataset = with_near_duplicates_joined(dataset, data)
    options = set_up(options)
    recipe = RECIPES[options.recipe](dataset, cache, options)
    report = cross_validate(dataset, recipe, options, _work_folder(out))
    report["published"] = PUBLISHED
    write_json(out, report)
    return report


def _work_folder(out: Path) -> Path:
    """``OUT.work``: the engine folder holds nothing but what its manifest names."""
    return out.with_name(out.name + ".work")


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise InputError(
            f"{out} exists already, wanted a new name.\n"
            "Next: name another --out, or delete it to train again"
        )


def refuse_combinations(options: TrainOptions) -> None:
    """Raise InputError for options of fine-tuning that contradict each other."""
    if options.recipe != "finetune":
        return
    for contradicts, problem, following in (*_of_steps(options), *_of_images(options)):
        if contradicts:
            raise InputError(f"{problem}.\nNext: {following}")


Contradictions = Iterator[tuple[Any, str, str]]
"""Whether options contradict each other, what was found and wanted, and what to do."""


def _of_steps(options: TrainOptions) -> Contradictions:
    tune = options.finetune
    yield from (
        (
            tune.stop_step and not tune.final,
            f"--stop-step is {tune.stop_step}, wanted it with --final; else validation stops it",
            "hambatch train --recipe finetune without --stop-step",
        ),
        (
            tune.stop_step > tune.steps,
            f"--stop-step is {tune.stop_step}, wanted at most the {tune.steps} of --steps",
            "name the --steps of the training that found the step",
        ),
        (
            tune.head_steps >= tune.steps,
            f"--head-steps is {tune.head_steps}, wanted fewer than the {tune.steps} of --steps: "
            "the others train the base",
            f"--head-steps {tune.steps // 10}, or more --steps",
        ),
        (
            options.mixed_precision and options.xla,
            "--mixed-precision of --recipe finetune is not for --xla, which would not see it",
            "hambatch train without --xla",
        ),
    )


def _of_images(options: TrainOptions) -> Contradictions:
    tune = options.finetune
    names = [HAM10000, *(source.name for source in tune.extras.extra)]
    yield from (
        (
            tune.side % HALVINGS,
            f"--side is {tune.side}, wanted a multiple of {HALVINGS}: five stages halve it",
            f"--side {tune.side // HALVINGS * HALVINGS}",
        ),
        (
            tune.crop_share and tune.crop_side > tune.side,
            f"--crop-side is {tune.crop_side}, wanted at most the {tune.side} of --side",
            f"--crop-side {tune.side}",
        ),
        (
            tune.crop_side != FineTuneOptions.crop_side and not tune.crop_share,
            f"--crop-side is {tune.crop_side}, wanted it with --crop-share: no step sees crops",
            "add --crop-share 0.75",
        ),
        (
            tune.crop_extent and not tune.crop_share,
            f"--crop-extent is {tune.crop_extent}, wanted it with --crop-share: no step sees crops",
            "add --crop-share 0.75",
        ),
        (
            tune.crop_extent and tune.crop_extent * tune.side < tune.crop_side,
            f"--crop-extent {tune.crop_extent} shows fewer pixels than the {tune.crop_side} of "
            "--crop-side, wanted crops that are not enlarged",
            "--crop-extent 1, or a smaller --crop-side",
        ),
        (
            len(set(names)) < len(names),
            f"two sources of images have one name: {', '.join(names)} (the first is that of the "
            "split table); wanted different ones",
            "name each set, as in TABLE#SET=WEIGHT, or rename a table",
        ),
    )


def _refuse_unmeasurable(dataset: Dataset, path: Path, options: TrainOptions) -> None:
    """Refuse a table without test images, or without enough images to validate with."""
    for part, fewest in (("test", 1), ("val", 0 if options.final else MIN_IMAGES)):
        found = len(dataset.part(part))
        if found < fewest:
            raise InputError(
                f"{path} has {found} images of split {part}, wanted at least {fewest}.\n"
                "Next: hambatch prepare HAM10000_DIR --out split.csv, with larger fractions"
            )


def _refuse_predictions(path: Path, dataset: Dataset, options: TrainOptions) -> None:
    """Refuse a temperature for a training that fits its own, or predictions of another recipe."""
    if not options.final or options.folds:
        raise InputError(
            "--out-of-fold is for --recipe finetune --final without --folds; any other training "
            "fits its temperature on images that it holds out itself.\n"
            "Next: hambatch train without --out-of-fold"
        )
    record = read_out_of_fold_record(path)
    if record is None:
        raise InputError(
            f"{path} has no record beside it that says it is out of fold; wanted out_of_fold.csv "
            "of the work folder of a training with validation, or with --folds.\n"
            "Next: hambatch train with the same options, without --final"
        )
    training = options.of_recipe() | {"pipeline_version": PIPELINE_VERSION}
    refuse_other_networks(path, record, dataset.split_sha256, training)
