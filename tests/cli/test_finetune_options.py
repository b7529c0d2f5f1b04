"""Options of fine-tuning: what does not go together is refused before any work."""

import pytest

from hambatch.cli.train import FINETUNE_HELP
from hambatch.errors import InputError
from hambatch.training.options import PUBLISHED_ONLY, TrainOptions
from tests.cli import test_train
from tests.cli.test_train import run

split = test_train.split
FINETUNE = ("--recipe", "finetune")
PUBLISHED = ("--recipe", "published")


@pytest.mark.parametrize(
    ("given", "other"),
    [
        ([*PUBLISHED, "--steps", "3"], "finetune"),
        ([*PUBLISHED, "--cutout", "0.1"], "finetune"),
        ([*PUBLISHED, "--stop-step", "3"], "finetune"),
        (["--epochs", "3"], "published"),
        ([*FINETUNE, "--learning-rate", "0.1"], "published"),
    ],
)
def test_an_option_of_the_other_recipe_is_a_usage_error(split, tmp_path, given, other):
    result = run(split, tmp_path / "engine", *given)
    assert result.exit_code == 2
    assert f"{given[-2]} is an option of --recipe {other}" in result.output
    assert not (tmp_path / "engine.work").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        ["--unfreeze", "conv2"],
        ["--peak-learning-rate", "nan"],
        ["--balance", "some"],
        ["--stage-decay", "0"],
        ["--val-every", "0"],
        ["--base-rate", "0"],
        ["--mixup", "nan"],
        ["--crop-side", "513"],
        ["--side", "32"],
        ["--crop-share", "1.1"],
    ],
)
def test_a_value_that_cannot_be_is_a_usage_error(split, tmp_path, wrong):
    result = run(split, tmp_path / "engine", *FINETUNE, *wrong)
    assert result.exit_code == 2
    assert wrong[0] in result.output


@pytest.mark.parametrize(
    "wrong",
    [
        ["--final", "--folds", "2"],
        ["--stop-step", "3"],
        ["--stop-step", "9", "--final", "--steps", "8"],
        ["--crop-side", "96"],
        ["--side", "230"],
        ["--crop-side", "192", "--crop-share", "0.5", "--side", "160"],
        ["--mixed-precision", "--xla"],
    ],
)
def test_what_fine_tuning_does_not_do_is_one_message_with_the_way_out(split, tmp_path, wrong):
    result = run(split, tmp_path / "engine", *FINETUNE, *wrong)
    assert isinstance(result.exception, InputError)
    assert wrong[0] in str(result.exception)
    assert "\nNext: " in str(result.exception)


def test_both_recipes_options_are_fields_of_the_configuration():
    assert PUBLISHED_ONLY <= vars(TrainOptions()).keys()
    assert not PUBLISHED_ONLY & FINETUNE_HELP.keys()
