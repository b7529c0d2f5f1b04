"""Training the head: it learns, stops, and goes on after a kill as if nothing had happened."""

import csv
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hambatch.training.checkpoint import Checkpoint
from hambatch.training.options import TrainOptions
from hambatch.training.published.data import TrainingData
from hambatch.training.published.head import Epoch, Epochs, HeadTrainer, finished, fit
from hambatch.training.validation import best_of, cross_entropy
from tests.waiting import lines_in, wait_for

OPTIONS = TrainOptions(epochs=4, patience=4, hidden_units=16, learning_rate=1e-3)


def training_data() -> TrainingData:
    """Seven clouds of points, near enough to overlap."""
    draw = np.random.default_rng(0)
    labels = np.arange(210) % 7
    centres = draw.normal(0, 0.3, (7, 2048))
    features = (centres[labels][:, None] + draw.normal(size=(210, 3, 2048))).astype(np.float32)
    val = (centres[labels] + draw.normal(size=(210, 2048))).astype(np.float32)
    return TrainingData(features, labels, draw.integers(0, 210, 300), val, labels)


def run_to_epoch_3(folder: str) -> None:
    """Train in a process of its own until it is killed in epoch 3; called by the test below."""
    run_epoch = HeadTrainer.run_epoch

    def held(trainer, data, epoch):
        if epoch == 3:
            signal.pause()
        return run_epoch(trainer, data, epoch)

    HeadTrainer.run_epoch = held
    run(Path(folder))


def run(folder: Path, options: TrainOptions = OPTIONS):
    trainer, checkpoint = HeadTrainer(options), Checkpoint(folder / "log.npz", {}, Epochs)
    return trainer, fit(trainer, training_data(), options, checkpoint)


def stored(folder: Path):
    return Checkpoint(folder / "log.npz", {}, Epochs).load()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return (*run(folder), folder)


def same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])


def without_seconds(history):
    return [replace(epoch, seconds=0.0) for epoch in history]


def test_it_learns_without_dropout_too():
    trainer = HeadTrainer(replace(OPTIONS, dropout=0.0))
    first = trainer.run_epoch(training_data(), 1)
    assert trainer.run_epoch(training_data(), 2) < first


def test_it_learns(uninterrupted):
    _, history, _ = uninterrupted
    assert history[-1].train_loss < history[0].train_loss
    assert best_of(history).val_balanced_accuracy > 0.5


def test_a_killed_run_goes_on_to_the_very_same_weights(uninterrupted, tmp_path):
    trainer, history, folder = uninterrupted
    test = "tests.training.published.test_head"
    code = f"from {test} import run_to_epoch_3 as run; run({str(tmp_path)!r})"
    child = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[3])
    with child:
        wait_for(lambda: lines_in(tmp_path / "log.csv") == 3, "two epochs", child)
        child.send_signal(signal.SIGKILL)
    assert len(stored(tmp_path)[0].history) == 2
    resumed, again = run(tmp_path)
    same(resumed.weights(), trainer.weights())
    assert without_seconds(again) == without_seconds(history)
    for group, values in stored(folder)[1].items():
        same(stored(tmp_path)[1][group], values)


def test_a_finished_run_is_not_trained_again(uninterrupted):
    trainer, _, folder = uninterrupted
    before = (folder / "log.npz").read_bytes()
    again, _ = run(folder)
    assert (folder / "log.npz").read_bytes() == before
    same(again.weights(), trainer.weights())


def test_the_best_epoch_is_kept_and_not_the_last(tmp_path):
    options = replace(OPTIONS, learning_rate=3.0, epochs=6, patience=2)
    trainer, history = run(tmp_path, options)
    best = best_of(history)
    assert best.epoch < len(history) or len(history) == options.epochs
    logits = trainer.logits(training_data().val_features)
    loss = cross_entropy(logits, training_data().val_labels)
    assert loss == pytest.approx(best.val_loss, rel=1e-5)


def epochs(*accuracies):
    return [Epoch(k + 1, 0, 0, 0, value, 0) for k, value in enumerate(accuracies)]


def test_it_stops_when_the_best_is_patience_epochs_old():
    options = TrainOptions(epochs=10, patience=2)
    assert not finished(epochs(0.1, 0.5, 0.5), options)
    assert finished(epochs(0.1, 0.5, 0.5, 0.4), options)
    assert finished(epochs(*np.linspace(0, 1, 10)), options)
    assert not finished([], options)


def test_the_log_has_a_line_an_epoch(uninterrupted):
    _, history, folder = uninterrupted
    with (folder / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert float(rows[3]["val_balanced_accuracy"]) == history[3].val_balanced_accuracy


def test_the_heads_step_learns_the_same_with_xla() -> None:
    # XLA draws other random numbers.
    options = TrainOptions(hidden_units=16, learning_rate=1e-3, dropout=0.0)
    losses = []
    for xla in (False, True):
        trainer = HeadTrainer(replace(options, xla=xla))
        losses.append([trainer.run_epoch(training_data(), epoch) for epoch in (1, 2)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
