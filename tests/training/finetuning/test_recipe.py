"""From a split table to a tuned network and its engine: a few steps of two images.

What a step does to the base is shown with ResNet50, all else with a base of a few weights.
"""

import csv
import json
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import openvino
import pytest
from click.testing import CliRunner

from hambatch.backends.keras_network import build_base, load_network, save_network
from hambatch.backends.openvino_graph import check_graph
from hambatch.cli.train import train
from hambatch.engines.classes import CLASSES
from hambatch.engines.feature_statistics import read_feature_statistics
from hambatch.engines.loading import load_engine
from hambatch.engines.manifest import read_manifest
from hambatch.engines.training_images import read_training_images
from hambatch.errors import InputError
from hambatch.evaluation.out_of_fold import (
    FOLDED_SINCE,
    read_out_of_fold_record,
    refuse_other_networks,
    write_out_of_fold,
)
from hambatch.system.files import sha256_of_bytes
from hambatch.training.complete import complete_engine
from hambatch.training.dataset import labels_of, read_dataset
from hambatch.training.extra_options import Extra, ExtraOptions
from hambatch.training.finetuning import recipe as module
from hambatch.training.finetuning.folded import fold
from hambatch.training.finetuning.recipe import FineTuning
from hambatch.training.options import FineTuneOptions, TrainOptions
from hambatch.training.recipe import PIPELINE_VERSION
from tests.conftest import jpeg_bytes
from tests.training.finetuning.tiny import OPTIONS, TUNE, tiny_base, tiny_dataset
from tests.training.test_train import small_bases, write_download, write_weights

slow = pytest.mark.slow
SIDE = 96
"""Other than the default; small, as it is the network's real size that takes the time."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return write_download(tmp_path_factory.mktemp("train"))


@pytest.fixture(scope="module")
def base(place):
    """An untrained ResNet50, whose weights are written beside the split table."""
    base = build_base(None)
    write_weights(base, place / "base.weights.h5", 1e5)
    return base


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("images"))


def run_tiny(dataset, work, base=None, **changes):
    """Tune the tiny base on all but two images of each class."""
    options = replace(OPTIONS, finetune=replace(TUNE, **{"steps": 2} | changes))
    val = dataset.table.iloc[: 0 if options.final else 14]
    with patch.object(module, "load_base", lambda weights, side, stride_in: base or tiny_base()):
        return FineTuning(dataset, work, options).fit(dataset.table.iloc[14:], val, work)


def test_the_loss_is_of_logits_adjusted_by_how_often_classes_are_drawn(dataset, tmp_path):
    # A class with fewer images than the others.
    uneven = replace(dataset, table=dataset.table.drop(dataset.table.index[-4:]))
    losses = []
    for strength in (0.0, 1.0):
        work = tmp_path / str(strength)
        run_tiny(uneven, work, steps=1, logit_adjustment=strength)
        log = (work / "steps.csv").read_text()
        losses += [float(line["train_loss"]) for line in csv.DictReader(log.splitlines())]
    assert abs(losses[0] - losses[1]) > 1e-3


def test_a_final_training_has_no_best_step(dataset, tmp_path):
    final = run_tiny(dataset, tmp_path, steps=3, final=True, stop_step=2)
    assert final.outcome == {"steps_run": 2, "best_step": None}
    assert final.validations == []


def test_other_weights_to_start_from_are_another_run_and_so_are_other_options(dataset, tmp_path):
    run_tiny(dataset, tmp_path)
    with pytest.raises(InputError) as refusal:
        run_tiny(dataset, tmp_path, unfreeze="conv5")
    assert "unfreeze was conv4, is conv5" in str(refusal.value)
    assert "jitter" not in str(refusal.value)
    other = tiny_base()
    other.weights[0].assign(other.weights[0] + 1)
    with pytest.raises(InputError, match="weights_sha256 was"):
        run_tiny(dataset, tmp_path, other)


def options_for(place, **changes):
    tune = FineTuneOptions(**{"steps": 3, "val_every": 3, "side": SIDE} | changes)
    return TrainOptions(
        recipe="finetune",
        weights=str(place / "base.weights.h5"),
        device="cpu",
        hidden_units=16,
        batch_size=2,
        finetune=tune,
    )


def run(place, out="tuned", **changes):
    options = options_for(place, **changes)
    dataset = read_dataset(place / "split.csv")
    recipe = FineTuning(dataset, place / "cache", options)
    return recipe.fit(dataset.part("train"), dataset.part("val"), place / f"{out}.work"), options


@pytest.fixture(scope="module")
def trained(place, base):
    return run(place)


@slow
def test_the_record_says_how_it_was_tuned_and_names_no_option_of_the_other_recipe(trained):
    fitted, options = trained
    record = json.loads(json.dumps(options.of_recipe()))
    assert fitted.outcome["steps_run"] == 3
    assert fitted.outcome["best_step"] == 3
    assert record["finetune"]["unfreeze"] == "conv4"
    assert record["finetune"]["jitter"]["cutout"] == 0.2
    assert record["augmentation"]["zoom"] == 0.1
    assert "epochs" not in record


@slow
def test_its_keras_weights_are_the_bases_but_for_the_convolutions_that_were_trained(
    trained, base, tmp_path
):
    save_network(trained[0].network, tmp_path / "model.weights.h5")
    tuned = load_network(tmp_path, 16, 0.5)
    import keras

    folded = keras.models.clone_model(base)
    folded.set_weights(base.get_weights())
    fold(folded)
    for layer in filter(lambda layer: layer.weights, folded.layers):
        wanted = layer.name.startswith(("conv4", "conv5")) and layer.name.endswith("_conv")
        for before, after in zip(layer.weights, tuned.get_layer(layer.name).weights, strict=True):
            # A bias that gets no gradient stays; a kernel decays at least.
            if before.name == "kernel" or not wanted:
                assert (before.numpy() != after.numpy()).any() == wanted, before.path


@slow
@pytest.mark.usefixtures("trained")
def test_work_files_stay_and_nothing_is_cached(place):
    assert (place / "tuned.work" / "steps.csv").read_text().count("\n") == 2
    assert not (place / "cache").exists()


def write_other_source(place):
    """An image of each class, and one that the split table holds out, of another source."""
    folder = place / "clinic"
    folder.mkdir()
    held_out = read_dataset(place / "split.csv").part("test").iloc[0]
    contents = [(dx, jpeg_bytes(100 + k)) for k, dx in enumerate(CLASSES)]
    contents.append((held_out["dx"], (place / "ham" / held_out["file"]).read_bytes()))
    lines = ["path,dx"]
    for k, (dx, content) in enumerate(contents):
        (folder / f"other_{k}.jpg").write_bytes(content)
        lines.append(f"other_{k}.jpg,{dx}")
    (folder / "clinic.csv").write_text("\n".join(lines))
    return folder / "clinic.csv"


def by_command(place, out, *more):
    """Train from the small base: converting ResNet50 is the export's test."""
    arguments = ["--data", place / "split.csv", "--out", place / out, "--recipe", "finetune"]
    arguments += ["--weights", place / "small.weights.h5", "--hidden-units", 16, "--batch-size", 2]
    arguments += ["--side", SIDE, "--steps", 3, "--stop-step", 1, "--final", "--device", "cpu"]
    with small_bases(place / "small.weights.h5"):
        return CliRunner().invoke(train, list(map(str, [*arguments, *more])))


@pytest.fixture(scope="module")
def out_of_fold(place):
    """Predictions of most validation images that are right, but not of all."""
    dataset = read_dataset(place / "split.csv")
    val, split = dataset.part("val"), dataset.split_sha256
    labels = (labels_of(val["dx"]) + (np.arange(len(val)) % 4 == 0)) % 7
    extras = ExtraOptions(extra=(Extra(str(write_other_source(place)), 0.5, side=64),))
    record = options_for(place, extras=extras).of_recipe()
    record["pipeline_version"] = PIPELINE_VERSION
    return write_out_of_fold(place, val, 0.6 * np.eye(7)[labels] + 0.4 / 7, split, record)


@pytest.fixture(scope="module")
def final(place, out_of_fold):
    more = ["--extra", f"{place / 'clinic' / 'clinic.csv'}=0.5@64", "--extra-licence", "clinic=CC0"]
    done = by_command(place, "final", "--out-of-fold", out_of_fold, *more)
    assert done.exit_code == 0, done.exception
    return done, place / "final"


@slow
def test_predictions_of_another_recipe_are_refused_before_any_work(place, out_of_fold):
    other = by_command(place, "other", "--unfreeze", "conv5", "--out-of-fold", out_of_fold)
    assert "found networks of extra [{" in str(other.exception)
    assert "unfreeze conv4, not conv5" in str(other.exception)
    assert not (place / "other.work").exists()


def test_predictions_from_before_kernels_were_folded_are_of_another_recipe(dataset, tmp_path):
    made = OPTIONS.of_recipe() | {"pipeline_version": PIPELINE_VERSION}
    split, values = dataset.split_sha256, np.full((len(dataset.table), 7), 1 / 7)
    for version in (None, FOLDED_SINCE - 1):
        earlier = {**made, "pipeline_version": version} if version else OPTIONS.of_recipe()
        table = write_out_of_fold(tmp_path, dataset.table, values, split, earlier)
        with pytest.raises(InputError, match=f"pipeline_version .*, not {PIPELINE_VERSION}"):
            refuse_other_networks(table, read_out_of_fold_record(table), split, made)
    table = write_out_of_fold(tmp_path, dataset.table, values, split, made)
    refuse_other_networks(table, read_out_of_fold_record(table), split, made)


@slow
def test_a_final_training_is_calibrated_by_what_a_validated_one_left(final):
    done, engine = final
    assert done.stdout.startswith("Test images:")
    manifest = read_manifest(engine)
    assert manifest.data["trained_on"] == ["train", "val"]
    fitted = manifest.calibration
    assert (fitted.fitted_on.source, fitted.fitted_on.parts) == ("out of fold", ("val",))
    assert manifest.metrics["test"]["temperature"] == fitted.temperature


@slow
def test_an_engine_of_several_sources_says_so_in_its_card_licence_and_list(final, place):
    done, engine = final
    manifest, card = read_manifest(engine), (engine / "card.md").read_text()
    (source,) = manifest.data["extra"]
    assert (source["source"], source["images"], source["weight"]) == ("clinic", 7, 0.5)
    why = "same bytes as an image of test"
    assert source["dropped"] == {why: {"images": 1, "named": ["other_7"]}}
    assert "clinic: 1 images dropped: same bytes as an image of test" in done.stderr
    assert manifest.licence.count("on clinic, CC0") == 1
    assert "| clinic | CC0 | 7 | 1 | 1 | 1 | 1 | 1 | 1 | 1 | 0.5 | 64 pixels | 1 |" in card
    assert f"- {why}: 1 (other_7)" in card
    features = read_feature_statistics(engine, manifest)
    trained = manifest.data["counts"]
    images = sum(trained[dx][part]["images"] for dx in CLASSES for part in ("train", "val"))
    assert np.bincount(features.sources).tolist() == [images, 7]
    listed = read_training_images(engine, manifest).images
    wanted = sha256_of_bytes(jpeg_bytes(100))[:16]
    assert wanted in {image.content for image in listed}
    assert not [path for path in engine.iterdir() if str(place).encode() in path.read_bytes()]


@slow
def test_the_list_of_an_engine_of_several_sources_is_not_made_again_of_its_table(final, place):
    with pytest.raises(InputError, match="was also trained on clinic"):
        complete_engine(final[1], place / "split.csv", print)


@slow
def test_another_weight_of_a_source_is_another_run(final, place, out_of_fold, tmp_path):
    del out_of_fold
    final[1].rename(tmp_path / "kept")
    try:
        more = ["--extra", f"{place / 'clinic' / 'clinic.csv'}=0.7@64"]
        other = by_command(place, "final", *more, "--extra-licence", "clinic=CC0")
    finally:
        (tmp_path / "kept").rename(final[1])
    assert isinstance(other.exception, InputError)
    assert "extra was" in str(other.exception)


@slow
def test_an_engine_of_another_side_is_scored_with_images_of_that_side(final):
    _, engine = final
    loaded = load_engine(engine)
    spec = loaded.manifest.input
    assert (spec.height, spec.width) == (SIDE, SIDE)
    check_graph(openvino.Core().read_model(engine / "model.onnx"), loaded.manifest, "model.onnx")
    assert loaded.manifest.metrics["test"]["n"] == 7


@slow
def test_a_final_training_with_folds_is_their_mean_and_not_calibrated_by_what_each_left_out(place):
    done = by_command(place, "mean", "--folds", 2)
    assert done.exit_code == 0, done.exception
    manifest, card = read_manifest(place / "mean"), (place / "mean" / "card.md").read_text()
    assert manifest.training["networks_averaged"] == 2
    assert "mean of those of 2 networks" in card
    left = read_out_of_fold_record(place / "mean.work" / "out_of_fold.csv")
    assert left.parts == ("train", "val")
    # The table has no part gate, and a mean has another temperature than each of its networks.
    assert manifest.calibration is None
    assert "no temperature is fitted, as the split table has no part gate" in done.stderr
