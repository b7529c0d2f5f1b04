"""The model card says what was trained on what, and how good it is."""

import re
from dataclasses import replace

import numpy as np
import pytest

from hambatch.engines.card import HEADING, model_card, section, with_section
from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import find_engine
from hambatch.engines.manifest import Manifest, read_manifest
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.evaluation.bootstrap import bootstrap_intervals
from hambatch.evaluation.measures import evaluate
from tests.engines.fitted import calibration_of


def card_of(training, trained_on=("train",)):
    truth = np.arange(70) % 7
    predicted = np.where(np.arange(70) < 42, truth, 5)
    found = evaluate(truth, predicted, np.eye(7)[predicted])
    chances = np.eye(7)[predicted]
    found["intervals"] = bootstrap_intervals(truth, predicted, probabilities=chances)
    counts = {name: {s: {"images": 4, "lesions": 3} for s in ("train", "val", "test")}
              for name in CLASSES}  # fmt: skip
    data = {"name": "HAM10000", "source": "doi:x", "licence": "CC BY-NC 4.0", "counts": counts}
    data["trained_on"] = list(trained_on)
    manifest = Manifest(
        name="mine",
        version="1",
        files={},
        variants=(),
        metrics={"test": found} if "val" in trained_on else {"test": found, "val": found},
        data=data,
        training=training,
        licence="CC BY-NC 4.0: weights",
    )
    return model_card(manifest)


@pytest.fixture(scope="module")
def card():
    return card_of({"seed": 3, "augmentation": {"zoom": 0.1}})


def test_it_says_what_it_is_for_and_whose_data_it_holds(card):
    assert card.startswith("# mine 1\n")
    assert "not a medical device" in card
    assert "doi:10.1038/sdata.2018.161" in card
    assert "CC BY-NC 4.0: weights" in card


def test_it_shows_sizes_recipe_and_results(card):
    assert "| mel (melanoma) | 4 / 3 | 4 / 3 | 4 / 3 |" in card
    assert "| zoom | 0.1 |" in card
    for figure in ("balanced accuracy", "ROC AUC, malignant", "expected calibration error"):
        assert re.search(rf"\| {figure} \| \d\.\d{{3}} \| \d\.\d{{3}} to \d\.\d{{3}} \|", card)
    assert "| nv | 0 | 0 | 0 | 0 | 0 | 10 | 0 |" in card


def test_every_table_is_whole(card):
    for block in card.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1


def test_it_says_which_part_of_the_network_was_trained_and_on_which_case_mix(card):
    assert "ResNet50, frozen with ImageNet weights, and a small head" in card
    assert "- Training was balanced over the classes, so its probabilities are not" in card
    tuned = card_of({"finetune": {"unfreeze": "conv4", "balance": "sqrt", "jitter": {"hue": 5}}})
    assert "ResNet50, trained from ImageNet weights from conv4 up, and a small head" in tuned
    assert "- Training drew rare classes more often than they occur, so its prob" in tuned
    assert "| hue | 5 |" in tuned


def test_it_says_exactly_what_it_saw(card):
    seen = "fitted to the 28 images of 21 lesions of train; the images of val chose when to stop."
    assert seen in card
    assert "Validation, which stopped the training" in card
    tune = {"unfreeze": "conv4", "balance": "sqrt", "final": True}
    final = card_of({"finetune": tune, "steps_run": 900}, trained_on=("train", "val"))
    assert (
        "fitted to the 56 images of 42 lesions of train and val. Those of test were held" in final
    )
    assert "a fixed 900 steps; nothing was validated" in final


def test_the_installed_engine_has_the_card_of_its_manifest():
    folder = find_engine(DEFAULT_ENGINE)
    assert model_card(read_manifest(folder)) == (folder / "card.md").read_text(encoding="utf-8")


TINY = Manifest("tiny", "1", {}, (), calibration=calibration_of(1.5))


def test_a_card_gets_its_section_before_the_limits_and_keeps_all_else():
    card = "# tiny 1\n\nA network.\n\n## Data\n\nSome.\n\n## Limits\n\n- One.\n"
    once = with_section(card, TINY)
    assert once.index("Some.") < once.index(HEADING) < once.index("## Limits")
    assert "temperature 1.5000" in once
    assert "measured at another temperature, or without one" in once
    assert with_section(once, TINY) == once
    assert with_section(once, replace(TINY, calibration=None)) == card
    assert with_section("# tiny\n", TINY) == f"# tiny\n\n{section(TINY)}\n"


def test_a_card_says_that_its_figures_are_of_calibrated_probabilities():
    manifest = replace(TINY, metrics={"test": {"temperature": 1.5}})
    assert "The test figures above are of calibrated probabilities." in section(manifest)
