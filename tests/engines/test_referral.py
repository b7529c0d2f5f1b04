"""An image is referred by whole millionths: no float decides at the threshold."""

import numpy as np

from hambatch.engines.classes import CLASSES
from hambatch.engines.referral import classes_of, is_referred, scores_of


def row(**shares: float) -> list[float]:
    return [shares.get(name, 0.0) for name in CLASSES]


def test_a_score_is_the_sum_of_the_cells_to_the_last_decimal() -> None:
    # As floats, 0.1 + 0.2 is more than 0.3, and 0.7 + 0.1 less than 0.8.
    rows = [row(akiec=0.1, mel=0.2, nv=0.7), row(bcc=0.7, mel=0.1, nv=0.2)]
    assert scores_of(rows, "malignant").tolist() == [300_000, 800_000]
    assert scores_of(rows, "melanoma").tolist() == [200_000, 100_000]
    assert classes_of("malignant") == ("akiec", "bcc", "mel")


def test_a_score_at_the_threshold_is_referred_and_one_below_is_not() -> None:
    scores = scores_of([row(mel=0.0312), row(mel=0.031199), row(mel=0.3)], "melanoma")
    assert is_referred(scores, 0.0312).tolist() == [True, False, True]
    every = np.arange(0, 1_000_000, 100)
    assert all(is_referred(every[k : k + 1], k / 10_000)[0] for k in range(10_000))
    assert not any(is_referred(every[k : k + 1] - 1, k / 10_000)[0] for k in range(10_000))
