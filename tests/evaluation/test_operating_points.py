"""A threshold is the largest that reaches its sensitivity; its figures are those of the rule."""

import numpy as np
import pytest

from hambatch.evaluation.evaluate import compare
from hambatch.evaluation.operating_points import FIGURES, WANTED, cut, operating_points
from hambatch.evaluation.sample import Target
from tests.evaluation.test_report_files import tables


def points_of(positive, scores, groups=None):
    groups = np.arange(len(scores)) if groups is None else groups
    return operating_points({"x": Target(np.array(positive), np.array(scores))}, groups)["x"]


def by_hand(positive, scores, threshold):
    """Counts of the rule, image by image."""
    referred = scores >= threshold
    return {
        "sensitivity": referred[positive].mean(),
        "specificity": (~referred)[~positive].mean(),
        "ppv": positive[referred].mean(),
        "npv": (~positive)[~referred].mean() if (~referred).any() else None,
        "referred": referred.mean(),
    }


@pytest.mark.parametrize("seed", range(5))
def test_no_larger_threshold_of_six_decimals_reaches_the_sensitivity(seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.4
    # Few decimals: many images share a score.
    scores = (rng.random(60) * 0.5 + positive * 0.4).round(1 + seed % 2)
    for wanted, point in zip(WANTED, points_of(positive, scores), strict=True):
        t = point["threshold"]
        assert (scores[positive] >= t).mean() >= wanted
        assert (scores[positive] >= t + 1e-6).mean() < wanted
        for name, value in by_hand(positive, scores, t).items():
            assert point[name] == (None if value is None else pytest.approx(value)), name


def test_exactly_the_wanted_share_is_enough():
    # 0.95 x 20 is 19, and 0.9 x 10 is 9: the hair of floating point above them does not count.
    for n, wanted in ((20, 0.95), (10, 0.9), (50, 0.98), (5, 0.8)):
        scores = np.arange(1, n + 1) / 100
        point = points_of(np.ones(n, bool), scores)[WANTED.index(wanted)]
        assert (point["sensitivity"], point["threshold"]) == (pytest.approx(wanted), 0.02)


def test_a_threshold_as_it_is_printed_refers_the_images_that_were_counted():
    scores = cut(np.array([0.1234569, 0.3, 0.1 + 0.2, 0.1234561, 1.0]))
    assert scores.tolist() == [0.123456, 0.3, 0.3, 0.123456, 1.0]
    positive = np.array([True, False, False, False, True])
    point = points_of(positive, scores)[-1]
    assert (scores >= float(f"{point['threshold']:.6f}")).mean() == point["referred"] == 1


def test_lesions_are_drawn_and_the_threshold_stays():
    rng = np.random.default_rng(0)
    positive, scores = np.repeat(rng.random(40) < 0.5, 5), np.repeat(rng.random(40), 5).round(6)
    one, by_lesion = (points_of(positive, scores, g)[0] for g in (None, np.arange(200) // 5))
    assert {name: one[name] for name in ("threshold", *FIGURES)} == {
        name: by_lesion[name] for name in ("threshold", *FIGURES)
    }
    for name in FIGURES:
        low, high = by_lesion["intervals"][name]
        assert low <= by_lesion[name] <= high
        narrow = one["intervals"][name]
        # Five copies of 40 lesions say no more than 40 images.
        assert high - low > 1.5 * (narrow[1] - narrow[0])


@pytest.mark.parametrize(
    ("positive", "threshold", "absent"),
    [([False], None, set(FIGURES)), ([True], 0.4, {"specificity", "npv"})],
)
def test_one_image_has_no_figure_that_would_divide_by_zero(positive, threshold, absent):
    for point in points_of(positive, [0.4]):
        assert point["threshold"] == threshold
        assert {name for name in FIGURES if point[name] is None} == absent
        # One image is the same in every draw.
        assert {name for name in FIGURES if point["intervals"][name] is None} == set(FIGURES)
        assert set(point["no_interval"]) == set(FIGURES) - absent


def test_the_rule_compares_the_column_of_the_table_and_not_the_sum_of_three(tmp_path):
    predictions, truth, _ = tables(tmp_path)
    header, *lines = predictions.read_text().splitlines()
    names = header.split(",")
    at = [names.index(f"p_{name}") for name in ("akiec", "bcc", "mel")]
    sums = [round(sum(float(line.split(",")[k]) for k in at), 6) for line in lines]
    # As `score` writes it: rounded once, here one in the last decimal below the sum.
    own = [round(max(0, total - 1e-6), 6) for total in sums]
    rows = [f"{line},{value:.6f}" for line, value in zip(lines, own, strict=True)]
    predictions.write_text("\n".join([f"{header},p_malignant", *rows]) + "\n")
    for point in compare(predictions, truth)["operating_points"]["malignant"]:
        assert point["threshold"] in own
        assert np.mean([value >= point["threshold"] for value in own]) == point["referred"]
