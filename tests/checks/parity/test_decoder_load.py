"""A batch that is split between two decoders is seen in the rows."""

from pathlib import Path

from hambatch.checks.parity.decoder_load import (
    ALL_ON_CORES,
    HALF,
    HALF_BACKWARDS,
    LoadEffect,
    effect_of,
    load_runs,
)
from hambatch.checks.parity.paths import USUAL
from hambatch.errors import DeviceLost
from tests.checks.parity.made_parity import path, row

ENGINE = [row(f"{k}.jpg") for k in range(4)]
CORES = [row("0.jpg"), *(row(f"{k}.jpg", 0.001 * k) for k in range(1, 4))]


def test_rows_of_a_split_group_are_as_with_the_one_or_the_other_decoder() -> None:
    # The first two images went to the engine; backwards the last two do.
    half, backwards = [*ENGINE[:2], *CORES[2:]], [*CORES[:2], *ENGINE[2:]]
    found = {USUAL: ENGINE, ALL_ON_CORES: CORES, HALF: half, HALF_BACKWARDS: backwards}
    assert effect_of("gpu", found) == LoadEffect("gpu", 0.003, 0.003, 1, 2, 1, 0, 3)


def test_one_decoder_moves_nothing() -> None:
    found = dict.fromkeys((USUAL, ALL_ON_CORES, HALF, HALF_BACKWARDS), ENGINE)
    assert effect_of("gpu", found) == LoadEffect("gpu", 0, 0, 0, 0, 4, 0, 0)


def test_a_run_that_could_not_be_done_leaves_nothing_to_say() -> None:
    found = {USUAL: ENGINE, ALL_ON_CORES: DeviceLost("gone"), HALF: ENGINE, HALF_BACKWARDS: ENGINE}
    assert effect_of("gpu", found) is None


def test_only_the_load_and_the_order_differ_from_the_usual_run(tiny_engine: Path) -> None:
    on_gpu = path(tiny_engine, "tensorrt", "fp32", "dali-gpu")
    loads = [(run.options.decoder.hw_decoder_load, run.backwards) for run in load_runs(on_gpu)]
    assert loads == [(0.0, False), (0.5, False), (0.5, True)]
