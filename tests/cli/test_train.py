"""`hambatch train`: its options are the recipe's fields; set-ups that cannot work are refused."""

import csv
import json
from dataclasses import fields

import pytest
from click.testing import CliRunner

from hambatch.cli.train import FINETUNE_ONLY, options_from, train
from hambatch.errors import InputError
from hambatch.ham10000.table import COLUMNS
from hambatch.system.files import sha256_of_bytes
from hambatch.training.extra_options import ExtraOptions
from hambatch.training.options import PUBLISHED_ONLY, FineTuneOptions, TrainOptions
from hambatch.training.view_options import Appearance, Augmentation, Jitter
from tests.conftest import jpeg_bytes
from tests.ham10000.images import COPIES, picture

PATHS = {"data", "out", "cache", "out_of_fold"}


def field_names():
    kinds = (TrainOptions, Augmentation, FineTuneOptions, Jitter, Appearance, ExtraOptions)
    nested = {"augmentation", "finetune", "jitter", "appearance", "extras"}
    return {field.name for kind in kinds for field in fields(kind)} - nested


@pytest.fixture
def split(tmp_path):
    """Write a table of two rows of one lesion, on one side; its images are there."""
    root = tmp_path / "images"
    root.mkdir()
    content = jpeg_bytes(0)
    (root / "a.jpg").write_bytes(content)
    row = dict.fromkeys(COLUMNS, "x") | {"dx": "nv", "split": "train", "file": "a.jpg"}
    rows = [row | {"image_id": str(k), "sha256": str(k) * 64} for k in (1, 2)]
    write(tmp_path / "split.csv", rows)
    (tmp_path / "split.csv.json").write_text(json.dumps({"root": str(root)}))
    return tmp_path / "split.csv", rows


def write(path, rows):
    with path.open("w", newline="") as stream:
        table = csv.DictWriter(stream, COLUMNS)
        table.writeheader()
        table.writerows(rows)


def run(split, out, *more):
    path = str(split[0])
    cache = str(split[0].parent / "cache")
    arguments = ["--data", path, "--out", str(out), "--cache", cache, *more]
    return CliRunner().invoke(train, arguments)


def test_every_field_of_the_recipe_is_an_option_with_its_default():
    options = {option.name: option.default for option in train.params}
    assert set(options) - PATHS == field_names()
    assert options_from({name: options[name] for name in field_names()}) == TrainOptions()
    assert PUBLISHED_ONLY <= vars(TrainOptions()).keys()
    assert not PUBLISHED_ONLY & FINETUNE_ONLY


def test_help_says_which_recipe_an_option_is_of_and_what_it_accepts():
    lines = " ".join(CliRunner().invoke(train, ["--help"], terminal_width=100).output.split())
    published = lines.partition("Published recipe (--recipe published): ")[2]
    published, _, views = published.partition("Views of the training images: ")
    views, _, finetune = views.partition("Fine-tuning (--recipe finetune): ")
    assert "--views N Augmented views of every training image." in published
    assert "--cutout X finetune: Side of a blanked square" in views
    assert "--warmup X Share of the steps" in finetune
    assert "[0<=x<1]" in finetune
    assert "--unfreeze [conv5|conv4|conv3|conv2|conv1] Lowest stage" in finetune


@pytest.mark.parametrize(
    "wrong",
    [
        ["--views", "-1"],
        ["--zoom", "1"],
        ["--shift", "-0.1"],
        ["--rotation-degrees", "nan"],
        ["--epochs", "0"],
        ["--learning-rate", "0"],
        ["--seed", "2147483646"],
        ["--unfreeze", "conv6"],
        ["--peak-learning-rate", "nan"],
        ["--balance", "some"],
        ["--stage-decay", "0"],
        ["--val-every", "0"],
        ["--base-rate", "0"],
        ["--mixup", "nan"],
        ["--crop-side", "513"],
        ["--side", "32"],
        ["--crop-share", "1.1"],
        ["--extra", "other.csv"],
        ["--extra", "other.csv=-1"],
        ["--stride-in", "7x7"],
    ],
)
def test_a_bad_value_is_a_usage_error(split, tmp_path, wrong):
    result = run(split, tmp_path / "engine", *wrong)
    assert result.exit_code == 2
    assert wrong[0] in result.output


@pytest.mark.parametrize(
    ("given", "other"),
    [
        (["--recipe", "published", "--steps", "3"], "finetune"),
        (["--recipe", "published", "--cutout", "0.1"], "finetune"),
        (["--recipe", "published", "--stop-step", "3"], "finetune"),
        (["--recipe", "published", "--extra", "other.csv=1"], "finetune"),
        (["--epochs", "3"], "published"),
        (["--recipe", "finetune", "--learning-rate", "0.1"], "published"),
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
        ["--stop-step", "3"],
        ["--stop-step", "9", "--final", "--steps", "8"],
        ["--head-steps", "8", "--steps", "8"],
        ["--crop-side", "96"],
        ["--crop-extent", "1"],
        ["--crop-extent", "0.5", "--crop-share", "0.5", "--crop-side", "224"],
        ["--side", "230"],
        ["--crop-side", "192", "--crop-share", "0.5", "--side", "160"],
        ["--mixed-precision", "--xla"],
    ],
)
def test_what_fine_tuning_does_not_do_is_one_message_with_the_way_out(split, tmp_path, wrong):
    result = run(split, tmp_path / "engine", *wrong)
    assert isinstance(result.exception, InputError)
    assert wrong[0] in str(result.exception)
    assert "\nNext: " in str(result.exception)


def test_a_leaky_table_is_refused_before_any_work(split, tmp_path):
    split[1][1]["split"] = "test"
    write(*split)
    result = run(split, tmp_path / "engine")
    assert isinstance(result.exception, InputError)
    assert "leaks" in str(result.exception)
    assert not (tmp_path / "engine.work").exists()
    assert not (tmp_path / "cache").exists()


def test_an_existing_output_is_never_replaced(split, tmp_path):
    (tmp_path / "engine").mkdir()
    for more in ([], ["--folds", "2"]):
        result = run(split, tmp_path / "engine", *more)
        assert isinstance(result.exception, InputError)
        assert "exists already" in str(result.exception)


def with_held_out(split):
    """Add as many images to validate and to test with as a training needs."""
    sides = ["val"] * 8 + ["test"]
    for k, side in enumerate(sides, start=10):
        own = {"image_id": str(k), "lesion_id": str(k), "sha256": f"{k:064d}", "split": side}
        split[1].append(split[1][0] | own | {"file": f"gone_{k}.jpg"})
    write(*split)


@pytest.mark.parametrize(
    "more", [[], ["--recipe", "published"], ["--final"], ["--final", "--folds", "2"]]
)
def test_a_table_that_no_engine_can_be_measured_with_is_refused_before_any_work(
    split, tmp_path, more
):
    more = [*more, "--weights", str(tmp_path / "none.weights.h5")]
    result = run(split, tmp_path / "engine", *more)
    assert isinstance(result.exception, InputError)
    assert "has 0 images of split test, wanted at least 1" in str(result.exception)
    split[1].append(split[1][0] | {"image_id": "9", "lesion_id": "9", "split": "test"})
    split[1][-1]["sha256"] = "9" * 64
    write(*split)
    result = run(split, tmp_path / "engine", *more)
    # A final training needs none to validate with, and gets as far as the weights.
    wanted = "no such file" if "--final" in more else "has 0 images of split val, wanted at least 8"
    assert wanted in str(result.exception)
    assert not (tmp_path / "engine.work").exists()


def test_missing_weights_are_one_message_with_the_way_out(split, tmp_path):
    with_held_out(split)
    result = run(split, tmp_path / "engine", "--weights", str(tmp_path / "none.weights.h5"))
    assert isinstance(result.exception, InputError)
    assert "no such file" in str(result.exception)
    assert "Next: name such a file with --weights" in str(result.exception)


def test_weights_of_something_else_are_refused(split, tmp_path):
    other = tmp_path / "other.weights.h5"
    other.write_bytes(b"no weights")
    with_held_out(split)
    result = run(split, tmp_path / "engine", "--weights", str(other))
    assert isinstance(result.exception, InputError)
    assert "cannot be used" in str(result.exception)


def test_one_fold_is_a_usage_error(split, tmp_path):
    result = run(split, tmp_path / "cv.json", "--folds", "1")
    assert result.exit_code == 2
    assert "1 fold leaves nothing" in result.output


def test_nearly_the_same_picture_on_two_sides_is_refused_before_training(split, tmp_path):
    for row, change in zip(split[1], COPIES.values(), strict=False):
        content = change(picture(0))
        name = f"copy_{row['image_id']}"
        (tmp_path / "images" / f"{name}.jpg").write_bytes(content)
        row |= {"file": f"{name}.jpg", "sha256": sha256_of_bytes(content), "lesion_id": name}
    split[1][1]["split"] = "test"
    with_held_out(split)
    result = run(split, tmp_path / "engine")
    assert isinstance(result.exception, InputError)
    assert "1 pairs of nearly the same image in two splits" in str(result.exception)
    assert not (tmp_path / "engine.work").exists()
