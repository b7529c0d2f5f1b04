"""What a training would miss at its end is refused at its beginning."""

from pathlib import Path

from hambatch.config import TrainOptions
from hambatch.errors import InputError
from hambatch.export.parity import MIN_IMAGES
from hambatch.out_of_fold_record import (
    read_out_of_fold_record,
    refuse_other_networks,
)
from hambatch.training.chosen import chosen_options
from hambatch.training.dataset import Dataset


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
