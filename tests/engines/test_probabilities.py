"""A temperature moves probabilities as it moves logits, and never a label."""

import numpy as np
import pytest

from hambatch.engines.classes import CLASSES
from hambatch.engines.manifest import Manifest
from hambatch.engines.probabilities import softmax, tempered, widened
from hambatch.scoring.rows import rows_of_answer
from hambatch.scoring.worker.protocol import Answer
from tests.engines.fitted import calibration_of


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1.3, 20.0])
def test_it_is_what_dividing_the_logits_gives(temperature: float) -> None:
    logits = np.random.default_rng(0).normal(0, 5, (500, 7)).astype(np.float32)
    wanted = softmax(logits.astype(np.float64) / temperature)
    assert np.abs(tempered(softmax(logits), temperature) - wanted).max() < 1e-12


@pytest.mark.parametrize("temperature", [None, 1, 1.0])
def test_without_one_every_bit_stays(temperature: float | None) -> None:
    values = np.random.default_rng(0).dirichlet(np.ones(7), 50)
    assert tempered(values, temperature) is values


def test_the_greatest_stays_the_greatest() -> None:
    draw = np.random.default_rng(1)
    values = draw.dirichlet(np.full(7, 0.3), 2000)
    # Two that differ in their last bit, in either order.
    values[:, 3] = np.nextafter(values[:, 5], draw.choice([0.0, 1.0], 2000))
    for temperature in (1e-300, 0.03, 0.9, 1.1, 3.7, 1e300):
        found = tempered(values, temperature)
        label = values.argmax(axis=1)
        assert (found[np.arange(2000), label] >= found.max(axis=1) - 1e-15).all()
        assert np.isfinite(found).all()
        assert np.abs(found.sum(axis=1) - 1).max() < 1e-12


def test_a_label_is_that_of_the_graph_where_the_temperature_leaves_no_difference() -> None:
    logits = np.random.default_rng(1).normal(0, 1, (20, 7)).astype(np.float32)
    decoders, hashes = ["dali-cpu"] * 20, ["0" * 64] * 20
    answer = Answer(np.arange(20), logits, decoders, hashes, [])
    names = {k: f"{k}.jpg" for k in range(20)}
    manifest = Manifest("hot", "1", {}, (), calibration=calibration_of(1e300))
    rows = rows_of_answer(answer, names, manifest, "openvino-fp32")
    assert {row.probabilities for _, row in rows} == {(0.142857,) * 7}
    assert [row.prediction for _, row in rows] == [CLASSES[k] for k in logits.argmax(axis=1)]


def test_a_row_alone_is_the_row_among_others() -> None:
    values = np.random.default_rng(2).dirichlet(np.ones(7), 9)
    assert np.array_equal(tempered(values, 1.7)[4], tempered(values[4], 1.7))


def test_certainty_stays_certain() -> None:
    assert tempered(np.eye(7), 3.0).tolist() == np.eye(7).tolist()


def test_a_tolerance_grows_only_where_probabilities_are_sharpened() -> None:
    assert (widened(0.02, None), widened(0.02, 3.0), widened(0.02, 0.5)) == (0.02, 0.02, 0.04)
    # No pair of logits so near to each other is farther apart than that, whatever they are.
    logits = np.random.default_rng(3).normal(0, 3, (2000, 7)).astype(np.float32)
    near = logits + np.random.default_rng(4).uniform(-0.01, 0.01, logits.shape).astype(np.float32)
    before = np.abs(softmax(logits) - softmax(near)).max()
    after = np.abs(softmax(logits / 0.5) - softmax(near / 0.5)).max()
    assert after > before
    assert after < widened(before, 0.5) * 1.1
