"""What a checkpoint is bound to: images, base, libraries and every option that changes weights."""

from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace

import pandas as pd
import pytest

from hambatch.training.options import FineTuneOptions, TrainOptions
from hambatch.training.recipe import fingerprint

ROWS = pd.DataFrame({"sha256": ["ab", "cd"]})


def of(options: TrainOptions, rows=ROWS):
    return fingerprint(SimpleNamespace(split_sha256="ef"), rows, ROWS, "01", options)


def of_tuning(**changes):
    return of(TrainOptions(finetune=FineTuneOptions(**changes)))


@pytest.mark.parametrize("recipe", ["published", "finetune"])
def test_images_base_and_libraries_bind(recipe) -> None:
    found = of(TrainOptions(recipe=recipe))
    assert (found["split_sha256"], found["weights_sha256"]) == ("ef", "01")
    assert found["keras"] == version("keras")
    assert of(TrainOptions(recipe=recipe), ROWS[:1]) != found
    assert of(TrainOptions(recipe=recipe, seed=1)) != found


def test_where_the_weights_lay_and_whose_they_are_does_not_bind() -> None:
    assert of(TrainOptions(weights="other", weights_licence="MIT")) == of(TrainOptions())


def test_numbers_of_the_other_recipe_do_not_bind() -> None:
    options = TrainOptions(recipe="published")
    assert of(replace(options, finetune=FineTuneOptions(steps=3))) == of(options)
    assert of(TrainOptions(epochs=3)) == of(TrainOptions())


def test_how_often_it_is_saved_does_not_bind_nor_validation_where_there_is_none() -> None:
    assert of_tuning(checkpoint_seconds=7.0) == of_tuning()
    assert of_tuning(val_every=7) != of_tuning()
    assert of_tuning(final=True, val_every=7, val_patience=1) == of_tuning(final=True)
    assert of_tuning(final=True, stop_step=2) != of_tuning(final=True) != of_tuning()
