"""What a checkpoint is bound to: images, base, libraries and every option that changes weights."""

from dataclasses import replace
from importlib.metadata import version
from types import SimpleNamespace

import pandas as pd
import pytest

from hambatch.errors import InputError
from hambatch.training.options import FineTuneOptions, TrainOptions
from hambatch.training.recipe import fingerprint, licence_text, load_base

ROWS = pd.DataFrame({"sha256": ["ab", "cd"]})


def of(options: TrainOptions, rows=ROWS, extras=()):
    return fingerprint(SimpleNamespace(split_sha256="ef", extras=extras), rows, ROWS, "01", options)


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
    options = TrainOptions(weights="other", weights_licence="MIT", weights_licence_file="MIT.txt")
    assert of(options) == of(TrainOptions())


@pytest.mark.parametrize("recipe", ["published", "finetune"])
def test_other_strides_are_another_run_and_the_usual_ones_one_from_before_there_were_any(recipe):
    found = of(TrainOptions(recipe=recipe))
    assert "stride_in" not in found
    assert of(TrainOptions(recipe=recipe, stride_in="3x3")) == found | {"stride_in": "3x3"}


@pytest.mark.parametrize(
    ("weights", "stride_in", "own"), [("imagenet", "3x3", "1x1"), ("base.npz", "1x1", "3x3")]
)
def test_weights_that_are_known_to_be_of_other_strides_are_refused(
    tmp_path, monkeypatch, weights, stride_in, own
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "base.npz").write_bytes(b"never read")
    with pytest.raises(InputError, match=f"stride in the {own}(.|\n)*Next: add --stride-in {own}"):
        load_base(weights, stride_in=stride_in)


@pytest.mark.parametrize("content", [None, b"\xff", b"x" * 1_000_001])
def test_a_licence_that_cannot_be_copied_is_refused(tmp_path, content):
    path = tmp_path / "licence.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"--weights-licence-file .*licence\.txt cannot be used"):
        licence_text(TrainOptions(weights_licence_file=str(path)))


def test_numbers_of_the_other_recipe_do_not_bind() -> None:
    options = TrainOptions(recipe="published")
    assert of(replace(options, finetune=FineTuneOptions(steps=3))) == of(options)
    assert of(TrainOptions(epochs=3)) == of(TrainOptions())


def test_how_often_it_is_saved_does_not_bind_nor_validation_where_there_is_none() -> None:
    assert of_tuning(checkpoint_seconds=7.0) == of_tuning()
    assert of_tuning(val_every=7) != of_tuning()
    assert of_tuning(final=True, val_every=7, val_patience=1) == of_tuning(final=True)
    assert of_tuning(final=True, stop_step=2) != of_tuning(final=True) != of_tuning()
