"""The model card says what was trained on what, and how good it is."""

import re
from dataclasses import replace

import numpy as np
import pytest

from hambatch.engines.card import model_card
from hambatch.engines.card_sections import (
    CALIBRATION,
    MEANINGS,
    calibration_section,
    limits_section,
    other_images_section,
    with_sections,
)
from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import find_engine
from hambatch.engines.manifest import Manifest, OtherImages, read_manifest
from hambatch.engines.measurements import (
    DEGRADED,
    EXTERNAL,
    INTERNAL,
    KINDS,
    LEFT_OUT,
    Estimate,
    FiguresOn,
    Scored,
)
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
    once = with_sections(card, TINY)
    assert once.index("Some.") < once.index(CALIBRATION) < once.index("## Limits")
    assert "temperature 1.5000" in once
    assert "measured at another temperature, or without one" in once
    assert with_sections(once, TINY) == once
    assert with_sections(once, replace(TINY, calibration=None)) == card
    assert with_sections("# tiny\n", TINY) == f"# tiny\n\n{calibration_section(TINY)}\n"


def test_a_card_says_that_its_figures_are_of_calibrated_probabilities():
    manifest = replace(TINY, metrics={"test": {"temperature": 1.5}})
    assert "The test figures above are of calibrated probabilities." in calibration_section(
        manifest
    )


def figures_of(kind: str, name: str, balanced: float = 0.7, **values) -> FiguresOn:
    known = {
        "images": 10,
        "classes": {"mel": 4, "nv": 6},
        "figures": {"balanced_accuracy": Estimate(balanced, (0.5, 0.9))},
        "predictions_sha256": "1" * 64,
        "truth_sha256": "2" * 64,
        "hambatch": "1",
        "scored": None if kind == LEFT_OUT else Scored("openvino", "int8"),
    }
    return FiguresOn(kind, name, **(known | values))


def measured(*figures: FiguresOn, **values) -> Manifest:
    return replace(TINY, calibration=None, other_images=OtherImages(figures), **values)


def test_a_card_says_what_each_set_of_images_is():
    section = other_images_section(measured(*(figures_of(kind, f"set {kind}") for kind in KINDS)))
    rows = [line for line in section.splitlines() if line.startswith("| set ")]
    assert [row.split(" | ")[0] for row in rows] == [f"| set {kind}" for kind in KINDS]
    assert "| set external | external | 10 | mel, nv | openvino-int8 | 0.700 (0.500 to" in section
    assert "| another training | 0.700 (0.500 to 0.900) | - | - | - |" in section
    for kind in KINDS:
        assert section.count(MEANINGS[kind]) == 1
    assert "not of these weights" in section


def test_degraded_copies_are_compared_with_the_same_images_scored_the_same_way():
    dark = figures_of(DEGRADED, "dark", 0.6)
    for clean, difference in (
        (figures_of(INTERNAL, "test"), "; -0.100 |"),
        (figures_of(EXTERNAL, "clinic"), "; -0.100 |"),
        (figures_of(INTERNAL, "test", truth_sha256="3" * 64), ") |"),
        (figures_of(INTERNAL, "test", scored=Scored("openvino", "fp32")), ") |"),
    ):
        (row,) = (
            line
            for line in other_images_section(measured(clean, dark)).splitlines()
            if line.startswith("| dark")
        )
        assert f"0.600 (0.500 to 0.900){difference.removeprefix(')')}" in row


@pytest.mark.parametrize(
    ("count", "words"),
    [(1200, "1,200 more images have no score and are"), (1, "1 more image has no score and is")],
)
def test_images_without_a_score_are_counted(count: int, words: str):
    section = other_images_section(measured(figures_of(INTERNAL, "test", not_scored=count)))
    assert f"- test: {words} in no figure." in section


def test_a_name_stays_text_in_a_card():
    hostile = figures_of(LEFT_OUT, "# <b>[a](http://b)</b> `c` *d* ISIC_1")
    section = other_images_section(measured(hostile))
    text = r"\# \<b\>\[a\](http://b)\</b\> \`c\` \*d\* ISIC_1"
    assert f"| {text} | source left out" in section
    assert f"- {text}: scored by networks" in section


EXTRA = [{"source": "ISIC 2017", "side": 256}, {"source": "BCN", "side": 84}, {"source": "own"}]


def test_limits_say_what_the_engine_is_not():
    plain = limits_section(TINY)
    for words in ("squamous cell carcinoma", "light skin", "same clinics, cameras and annotators"):
        assert words in plain
    assert "no figures of these weights on a source that the training did not know" in plain
    assert "small copies" not in plain
    assert "left-out" not in plain
    several = limits_section(replace(TINY, data={"extra": EXTRA}))
    assert "in the images of ISIC 2017, BCN and own are not recorded here" in several
    assert (
        "ISIC 2017 (256 pixels a side) and BCN (84 pixels a side). Those of BCN are enlarged"
        in several
    )
    assert "fine structures such as dots" in several


def test_limits_know_what_was_measured():
    seen = limits_section(measured(figures_of(EXTERNAL, "clinic")))
    assert "training did not know" not in seen
    assert "as under [Other images](#other-images)." in seen
    recipe = limits_section(measured(figures_of(LEFT_OUT, "BCN")))
    assert "did not know; those on left-out sources are of the recipe" in recipe
    assert "as under" not in limits_section(measured(figures_of(DEGRADED, "dark")))
