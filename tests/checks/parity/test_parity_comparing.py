"""Differences between rows are counted as they are, and never between different files."""

import pytest

from hambatch.checks.parity.comparing import Changed, compare_rows, count_changed
from hambatch.errors import InputError
from tests.checks.parity.made_parity import failed, row

WANTED = [row("a.jpg"), row("b.jpg"), row("c=.jpg")]


def test_equal_rows_are_no_distance_apart() -> None:
    found = compare_rows(WANTED, WANTED)
    assert (found.images, found.failed, found.label_flips, found.farthest) == (3, 0, 0, "")
    assert found.max_difference == found.mean_difference == 0


def test_the_farthest_image_and_every_changed_label_are_found() -> None:
    found = compare_rows(WANTED, [row("a.jpg", 0.01), row("b.jpg", 0.4), row("c=.jpg")])
    assert found.max_difference == 0.4
    assert found.mean_difference == pytest.approx((0.02 + 0.8) / 21)
    assert (found.label_flips, found.farthest) == (1, "b.jpg")


def test_a_difference_of_the_last_decimal_is_no_more_than_that() -> None:
    assert compare_rows(WANTED[:1], [row("a.jpg", 1e-6)]).max_difference == 1e-6


def test_an_image_that_one_path_cannot_score_is_counted_apart() -> None:
    found = compare_rows(WANTED, [row("a.jpg"), failed("b.jpg"), row("c=.jpg")])
    assert (found.images, found.failed, found.max_difference) == (2, 1, 0)


def test_a_path_that_scores_nothing_is_compared_by_its_failures() -> None:
    found = compare_rows(WANTED, [failed(each.image) for each in WANTED])
    assert (found.images, found.failed) == (0, 3)


def test_a_file_that_changes_meanwhile_is_named() -> None:
    with pytest.raises(InputError, match=r"b\.jpg changed while it was scored"):
        compare_rows(WANTED, [row("a.jpg"), row("b.jpg", sha256="1" * 64), row("c=.jpg")])


def test_rows_change_in_any_column() -> None:
    after = [row("a.jpg", 1e-6), row("b.jpg", decoder="pillow"), row("c=.jpg")]
    assert count_changed(WANTED, after) == Changed(2, 1e-6)
    assert count_changed(WANTED, WANTED) == Changed(0, 0.0)


def test_a_row_that_fails_has_changed() -> None:
    assert count_changed(WANTED, [failed("a.jpg"), *WANTED[1:]]) == Changed(1, 0.0)
    assert count_changed(WANTED[:1], [failed("a.jpg")]) == Changed(1, 0.0)
