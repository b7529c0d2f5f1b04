"""What binds a checkpoint of the published recipe, which is what it was before there were two."""

from dataclasses import fields, replace
from types import SimpleNamespace

from hambatch.training.gathering import fingerprint
from hambatch.training.options import Augmentation, FineTuneOptions, TrainOptions

DATA, FEATURES = SimpleNamespace(split_sha256="ab"), SimpleNamespace(weights_sha256="cd")


def test_checkpoints_from_before_fine_tuning_are_gone_on_with() -> None:
    other = {"recipe", "finetune", "weights", "weights_licence", "augmentation"}
    options = {field.name for field in fields(TrainOptions)} - other
    views = {field.name for field in fields(Augmentation)}
    found = fingerprint(DATA, FEATURES, TrainOptions(recipe="published"))
    assert found.keys() == {"split_sha256", "weights_sha256"} | options | views


def test_numbers_of_the_other_recipe_do_not_matter() -> None:
    options = TrainOptions(recipe="published")
    other = replace(options, finetune=FineTuneOptions(steps=3))
    assert fingerprint(DATA, FEATURES, options) == fingerprint(DATA, FEATURES, other)
