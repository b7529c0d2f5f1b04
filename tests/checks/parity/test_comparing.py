"""Differences between rows are counted, and refused beyond tolerances stated elsewhere."""

import math
from pathlib import Path

import pytest

from hambatch.checks.parity.comparing import (
    ONE_LEVEL,
    ONE_LEVEL_MEAN,
    Changed,
    compare_rows,
    count_changed,
    most_flips,
    tolerance_of,
)
from hambatch.engines.sentinels import ELSEWHERE, Sentinels
from hambatch.errors import InputError
from tests.checks.parity.made_parity import failed, path, row

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


SPEC = Sentinels()


def test_bf16_is_judged_by_the_limit_of_its_own_gate(tiny_engine: Path) -> None:
    bf16, int8_bf16 = (
        tolerance_of(path(tiny_engine, "openvino", precision), SPEC, 1000)
        for precision in ("bf16", "int8-bf16")
    )
    assert (bf16.max_difference, bf16.label_flips) == (None, 11)
    assert int8_bf16.label_flips == 31
    assert bf16.source.startswith("the gate of bf16: 0.5 % of labels")


def test_int8_is_judged_by_its_labels_alone(tiny_engine: Path) -> None:
    tolerance = tolerance_of(path(tiny_engine, "openvino", "int8"), SPEC, 64)
    assert (tolerance.max_difference, tolerance.label_flips) == (None, 4)
    wanted = [row(f"{k}.jpg") for k in range(64)]
    moved = [row(f"{k}.jpg", 0.3) for k in range(64)]
    flipped = [row(f"{k}.jpg", 0.6) for k in range(64)]
    assert tolerance.holds(compare_rows(wanted, moved))
    assert tolerance.holds(compare_rows(wanted, [*flipped[:4], *wanted[4:]]))
    assert not tolerance.holds(compare_rows(wanted, [*flipped[:5], *wanted[5:]]))


@pytest.mark.parametrize("images", [1, 7, 64, 500])
def test_a_graph_at_the_limit_of_the_gate_passes_in_99_of_100_samples(images: int) -> None:
    def passing(flips: int) -> float:
        return sum(math.comb(images, k) * 0.02**k * 0.98 ** (images - k) for k in range(flips + 1))

    most = most_flips(images, 0.02)
    assert passing(most) >= 0.99
    assert most == 0 or passing(most - 1) < 0.99


def test_many_images_tell_the_gate_s_share() -> None:
    assert 0.02 <= most_flips(10_000, 0.02) / 10_000 < 0.024


def test_another_decoder_may_differ_by_one_level_more_than_another_machine(
    tiny_engine: Path,
) -> None:
    fp32 = tolerance_of(path(tiny_engine, "tensorrt", "fp32", "dali-gpu"), SPEC, 64)
    fp16 = tolerance_of(path(tiny_engine, "tensorrt", "fp16", "dali-gpu"), SPEC, 64)
    assert fp32.mean_difference == pytest.approx(SPEC.tolerance_elsewhere + ONE_LEVEL_MEAN)
    assert fp32.max_difference == pytest.approx(SPEC.tolerance_elsewhere + ONE_LEVEL)
    assert fp16.max_difference == pytest.approx(ELSEWHERE["fp16"] + ONE_LEVEL)


def test_many_small_differences_are_beyond_the_mean_of_another_decoder(tiny_engine: Path) -> None:
    tolerance = tolerance_of(path(tiny_engine, "tensorrt", "fp32", "dali-gpu"), SPEC, 64)
    wanted = [row(f"{k}.jpg") for k in range(64)]
    moved = [row(f"{k}.jpg", 0.1) for k in range(64)]
    assert tolerance.holds(compare_rows(wanted, [*moved[:8], *wanted[8:]]))
    assert not tolerance.holds(compare_rows(wanted, moved))


def test_keras_is_judged_as_an_export_is(tiny_engine: Path) -> None:
    tolerance = tolerance_of(path(tiny_engine, "keras", "fp32"), SPEC, 64)
    wanted = [row()]
    assert tolerance.holds(compare_rows(wanted, [row(moved=0.002)]))
    assert not tolerance.holds(compare_rows(wanted, [row(moved=0.002001)]))


def test_an_image_that_a_path_cannot_score_is_beyond_any_tolerance(tiny_engine: Path) -> None:
    wanted = [row("a.jpg"), row("b.jpg")]
    found = compare_rows(wanted, [row("a.jpg"), failed("b.jpg")])
    for backend, precision in (("openvino", "int8"), ("keras", "fp32"), ("tensorrt", "fp16")):
        assert not tolerance_of(path(tiny_engine, backend, precision), SPEC, 2).holds(found)
