"""A lesion is what was photographed: copies and pairs count once, and its truth is one."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hambatch.errors import InputError
from hambatch.evaluation.join import join_scored
from hambatch.evaluation.tables import read_predictions
from hambatch.evaluation.truth import read_truth
from hambatch.ham10000.leaks import KNOWN_PAIRS
from hambatch.triage.lesions import Lesions, lesions_of, linked, not_scored
from tests.faults.soft_engine import write_soft_engine
from tests.triage.made import Image, Place, write_predictions, write_truth


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_soft_engine(tmp_path_factory.mktemp("lesions") / "soft")


def found_in(engine: Path, folder: Path, *images: Image) -> tuple[Lesions, int]:
    place = Place(engine, folder / "preds.csv", folder / "truth.csv")
    truth = read_truth(write_truth(place.truth, images))
    write_predictions(place, [one for one in images if one.status != "absent"])
    joined = join_scored(truth, read_predictions(place.table), place.table)
    return lesions_of(joined, "malignant"), not_scored(truth, joined, "malignant")


def test_the_lowest_scored_image_of_a_lesion_decides(engine: Path, tmp_path: Path) -> None:
    lesions, lacking = found_in(
        engine,
        tmp_path,
        Image("a", "L1", "mel", 0.9),
        Image("b", "L1", "mel", 0.2),
        Image("c", "L1", "mel", 0.1, status="failed"),
        Image("d", "L2", "nv", 0.3),
        Image("e", "L2", "nv", 0.4),
    )
    assert lesions.positive.tolist() == [True, False]
    assert (lesions.lowest.tolist(), lesions.highest.tolist()) == (
        [200_000, 300_000],
        [900_000, 400_000],
    )
    assert lacking == 0


def test_the_score_of_malignant_is_the_column_of_the_table_not_the_sum_of_three(
    engine: Path, tmp_path: Path
) -> None:
    place = Place(engine, tmp_path / "preds.csv", tmp_path / "truth.csv")
    images = Image("a", "L1", "mel", 0.2), Image("b", "L2", "bcc", 0.3)
    truth = read_truth(write_truth(place.truth, images))
    write_predictions(place, images)
    table = pd.read_csv(place.table, dtype=str)
    table.assign(p_malignant=["0.200001", "0.299999"]).to_csv(place.table, index=False)
    joined = join_scored(truth, read_predictions(place.table), place.table)
    assert lesions_of(joined, "malignant").scores.tolist() == [200_001, 299_999]
    assert lesions_of(joined, "melanoma").scores.tolist() == [200_000, 0]


def test_a_lesion_without_a_score_is_counted_apart(engine: Path, tmp_path: Path) -> None:
    lesions, lacking = found_in(
        engine,
        tmp_path,
        Image("a", "L1", "mel", 0.9),
        Image("b", "L2", "mel", 0.2, status="failed"),
        Image("c", "L2", "mel", 0.2, status="absent"),
        Image("d", "", "bcc", 0.2, status="failed"),
        Image("e", "L3", "nv", 0.2, status="failed"),
    )
    assert (lesions.positive.size, lacking) == (1, 2)


def test_an_image_without_a_lesion_id_is_its_own_lesion_unless_it_is_a_copy(
    engine: Path, tmp_path: Path
) -> None:
    lesions, _ = found_in(
        engine,
        tmp_path,
        Image("a", "", "mel", 0.9),
        Image("b", "", "mel", 0.8),
        Image("again", "", "mel", 0.7, content="b"),
        Image("elsewhere", "L9", "mel", 0.6, content="b"),
        Image("other", "L9", "mel", 0.5),
    )
    assert lesions.lowest.tolist() == [900_000, 500_000]


def test_a_known_pair_of_ham10000_is_one_lesion(engine: Path, tmp_path: Path) -> None:
    one, other = KNOWN_PAIRS[0]
    images = Image(one, "L1", "bcc", 0.4), Image(other, "L2", "bcc", 0.3)
    lesions, _ = found_in(engine, tmp_path, *images, Image("x", "L3", "bcc", 0.1))
    assert lesions.lowest.tolist() == [300_000, 100_000]


@pytest.mark.parametrize("lesion", ["L1", ""])
def test_a_lesion_of_two_truths_is_refused(engine: Path, tmp_path: Path, lesion: str) -> None:
    images = Image("a", lesion, "mel", 0.9), Image("b", lesion, "nv", 0.2, content="a")
    with pytest.raises(InputError, match=r"different diagnoses \(a mel, b nv\).*\n.*correct"):
        found_in(engine, tmp_path, *images)


def test_two_classes_of_one_kind_are_no_contradiction(engine: Path, tmp_path: Path) -> None:
    lesions, _ = found_in(
        engine, tmp_path, Image("a", "L1", "mel", 0.9), Image("b", "L1", "bcc", 0.2)
    )
    assert lesions.positive.tolist() == [True]


def test_keys_link_by_way_of_others_and_an_empty_one_links_nothing() -> None:
    first = pd.Series(["a", "b", "b", "c", "d"])
    second = pd.Series(["", "", "x", "x", ""])
    codes = linked(first, second)
    assert np.array_equal(codes, [0, 1, 1, 1, 2])
