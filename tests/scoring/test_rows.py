"""A row's probabilities are its own answer's, joined by index; files are scored in any order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hambatch.engines.classes import CLASSES
from hambatch.engines.manifest import Manifest, read_manifest
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.rows import predict_files, rows_of_answer
from hambatch.scoring.worker.protocol import Answer
from hambatch.types import Failure

NAMES = {3: "c.jpg", 1: "a.jpg", 2: "b.jpg"}


@pytest.fixture
def manifest(tiny_engine: Path) -> Manifest:
    return read_manifest(tiny_engine)


def answer(logits: list[list[float]], *views: list[list[float]]) -> Answer:
    """Two images, 3 and 1, and a failed one, 2."""
    return Answer(
        np.array([3, 1]),
        np.array(logits, np.float32),
        ["dali-cpu", "pillow"],
        ["sha-3", "sha-1"],
        [Failure(2, "sha-2", "cannot be decoded")],
        views=tuple(np.array(view, np.float32) for view in views),
    )


LOGITS = [[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0]]


def softmax(logits: list[float]) -> np.ndarray:
    powers = np.exp(np.array(logits))
    return powers / powers.sum()


def test_scores_are_joined_with_names_by_index_and_rows_are_sorted(manifest: Manifest) -> None:
    rows = dict(rows_of_answer(answer(LOGITS), NAMES, manifest, "openvino-fp32"))
    assert [*rows] == [1, 2, 3]
    third, first, second = rows[3], rows[1], rows[2]
    assert (third.image, third.sha256, third.decoder) == ("c.jpg", "sha-3", "dali-cpu")
    assert (third.prediction, first.prediction) == (CLASSES[6], CLASSES[0])
    assert third.probabilities == tuple(round(float(p), 6) for p in softmax(LOGITS[0]))
    malignant = [k for k, name in enumerate(CLASSES) if name in manifest.malignant]
    assert third.malignant == pytest.approx(softmax(LOGITS[0])[malignant].sum(), abs=1e-6)
    assert (first.image, first.backend) == ("a.jpg", "openvino-fp32")
    assert (second.status, second.reason) == ("failed", "cannot be decoded")


def test_views_are_averaged_as_probabilities(manifest: Manifest) -> None:
    (_, _), (_, _), (_, row) = rows_of_answer(answer(LOGITS, LOGITS[::-1]), NAMES, manifest, "b")
    wanted = (softmax(LOGITS[0]) + softmax(LOGITS[1])) / 2
    assert row.probabilities == pytest.approx(wanted, abs=1e-6)


def test_what_is_no_number_is_a_failed_row(manifest: Manifest) -> None:
    broken = [[np.nan] * 7, LOGITS[1]]
    (_, good), (_, _), (_, bad) = rows_of_answer(answer(broken), NAMES, manifest, "b")
    assert (bad.status, bad.reason) == ("failed", "cannot be scored: b gave no finite numbers")
    assert (bad.image, bad.sha256, good.status) == ("c.jpg", "sha-3", "ok")


def test_an_answer_for_an_image_that_was_not_sent_is_a_bug(manifest: Manifest) -> None:
    other = replace(answer(LOGITS), indices=np.array([3, 9]))
    with pytest.raises(AssertionError, match="which it was not sent"):
        rows_of_answer(other, NAMES, manifest, "b")


def test_files_can_be_scored_by_name_in_any_order(images: Path, tiny_engine: Path) -> None:
    names = ["last.png", "picture_00.jpg", "a/picture_01.jpg"]
    rows = predict_files(images, names, ScoreOptions(engine=str(tiny_engine)))
    assert [row.image for row in rows] == names
    assert all(row.status == "ok" for row in rows)
