"""Precisions are compared with FP32 image by image; too few images are no choice."""

from dataclasses import replace
from pathlib import Path

import pytest

from hambatch.checks.parity.results import Taken
from hambatch.checks.tune import compared, refuse_few
from hambatch.errors import InputError
from hambatch.sources.entry import Entry
from hambatch.sources.source import folder_of_images
from tests.checks.parity.made_parity import failed, row

NAMES = [f"{k}.jpg" for k in range(200)]


def test_drift_is_what_99_of_100_images_move_by_at_most() -> None:
    fp32 = [row(name) for name in NAMES]
    moves = [0.001] * 196 + [0.01, 0.02, 0.03, 0.04]
    cheaper = [row(name, by) for name, by in zip(NAMES, moves, strict=True)]
    found = compared("int8", fp32, cheaper, 100.0)
    assert (found.drift, found.largest_drift, found.label_flips) == (0.02, 0.04, 0)


def test_an_image_that_the_cheaper_precision_cannot_score_counts_as_another_label() -> None:
    fp32 = [row(name) for name in NAMES]
    cheaper = [failed(NAMES[0]), row(NAMES[1], 0.9), *fp32[2:]]
    found = compared("bf16", fp32, cheaper, 100.0)
    assert (found.label_flips, found.drift, found.largest_drift) == (2, 0.0, 1.0)
    none = compared("bf16", fp32, [failed(name) for name in NAMES], 100.0)
    assert (none.label_flips, none.drift) == (200, 1.0)


def test_a_file_that_changes_in_between_is_refused() -> None:
    first = row(NAMES[0])
    with pytest.raises(InputError, match="changed while it was scored"):
        compared("int8", [first], [replace(first, sha256="1" * 64)], 100.0)


@pytest.mark.parametrize(
    ("scored", "taken", "listed", "said"),
    [
        (24, 24, 24, r"24 images to tune with, wanted .* 100: 76 missing\.\nNext: name further"),
        (99, 100, 100, r"99 images .* \(1 other cannot be scored\), .*: 1 missing\.\nNext: name"),
        (90, 120, 500, r"\(30 others cannot be scored\), .*: 10 missing\.\nNext: a higher --count"),
    ],
)
def test_it_says_how_many_images_are_missing(
    scored: int, taken: int, listed: int, said: str
) -> None:
    images = Taken(tuple(Entry(f"{k}.jpg") for k in range(taken)), listed)
    with pytest.raises(InputError, match=said):
        refuse_few(scored, images, folder_of_images(Path("images")))
    refuse_few(100, images, folder_of_images(Path("images")))
