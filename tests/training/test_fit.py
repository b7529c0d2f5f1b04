"""Training the head: it learns, stops, and goes on after a kill as if nothing had happened."""

import csv
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.training.fit import Checkpoint, Epoch, best_epoch, finished, fit
from hambatch.training.head import HeadTrainer, TrainingData, cross_entropy
from hambatch.training.options import TrainOptions

OPTIONS = TrainOptions(epochs=4, patience=4, hidden_units=16, learning_rate=1e-3)


def training_data() -> TrainingData:
    """Seven clouds of points, near enough to overlap."""
    draw = np.random.default_rng(0)
    labels = np.arange(210) % 7
    centres = draw.normal(0, 0.3, (7, 2048))
    features = (centres[labels][:, None] + draw.normal(size=(210, 3, 2048))).astype(np.float32)
    val = (centres[labels] + draw.normal(size=(210, 2048))).astype(np.float32)
    return TrainingData(features, labels, draw.integers(0, 210, 300), val, labels)


def run_to_the_end(folder: str) -> None:
    """Train in a process of its own, slowly enough to be killed; called by the test below."""
    from hambatch.training import fit as module

    advance = module._advance

    def slowly(*arguments):
        time.sleep(0.4)
        return advance(*arguments)

    module._advance = slowly
    fit(training_data(), OPTIONS, Checkpoint(Path(folder) / "log.npz", {}))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return fit(training_data(), OPTIONS, Checkpoint(folder / "log.npz", {})), folder


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
    fitted, _ = uninterrupted
    assert fitted.history[-1].train_loss < fitted.history[0].train_loss
    assert max(e.val_balanced_accuracy for e in fitted.history) > 0.5


def test_a_killed_run_goes_on_to_the_very_same_weights(uninterrupted, tmp_path):
    fitted, folder = uninterrupted
    code = f"from tests.training.test_fit import run_to_the_end as run; run({str(tmp_path)!r})"
    child = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    log = tmp_path / "log.csv"
    while not (log.is_file() and len(log.read_text().splitlines()) == 3):
        assert child.poll() is None, "the child ended before it could be killed"
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    checkpoint = Checkpoint(tmp_path / "log.npz", {})
    assert 2 <= len(checkpoint.load().history) < OPTIONS.epochs
    resumed = fit(training_data(), OPTIONS, checkpoint)
    same(resumed.trainer.weights(), fitted.trainer.weights())
    assert without_seconds(resumed.history) == without_seconds(fitted.history)
    whole = Checkpoint(folder / "log.npz", {}).load()
    for group in ("weights", "optimizer", "best"):
        same(getattr(checkpoint.load(), group), getattr(whole, group))


def test_a_finished_run_is_not_trained_again(uninterrupted):
    fitted, folder = uninterrupted
    before = (folder / "log.npz").read_bytes()
    again = fit(training_data(), OPTIONS, Checkpoint(folder / "log.npz", {}))
    assert (folder / "log.npz").read_bytes() == before
    same(again.trainer.weights(), fitted.trainer.weights())


def test_the_best_epoch_is_kept_and_not_the_last(uninterrupted, tmp_path):
    options = replace(OPTIONS, learning_rate=3.0, epochs=6, patience=2)
    checkpoint = Checkpoint(tmp_path / "log.npz", {})
    fitted = fit(training_data(), options, checkpoint)
    best = best_epoch(fitted.history)
    assert best < len(fitted.history) or len(fitted.history) == options.epochs
    logits = fitted.trainer.logits(training_data().val_features)
    loss = cross_entropy(logits, training_data().val_labels)
    assert loss == pytest.approx(fitted.history[best - 1].val_loss, rel=1e-5)


def epochs(*accuracies):
    return [Epoch(k + 1, 0, 0, 0, value, 0) for k, value in enumerate(accuracies)]


def test_it_stops_when_the_best_is_patience_epochs_old():
    options = TrainOptions(epochs=10, patience=2)
    assert best_epoch(epochs(0.1, 0.5, 0.5, 0.4)) == 2
    assert not finished(epochs(0.1, 0.5, 0.5), options)
    assert finished(epochs(0.1, 0.5, 0.5, 0.4), options)
    assert finished(epochs(*np.linspace(0, 1, 10)), options)
    assert not finished([], options)


def test_the_log_has_a_line_an_epoch(uninterrupted):
    fitted, folder = uninterrupted
    with (folder / "log.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert float(rows[3]["val_balanced_accuracy"]) == fitted.history[3].val_balanced_accuracy


def test_the_checkpoint_of_another_run_is_refused_naming_what_differs(uninterrupted, tmp_path):
    copy = tmp_path / "log.npz"
    checkpoint = Checkpoint(copy, {"seed": 0, "epochs": 4, "split_sha256": "ab"})
    checkpoint.save(Checkpoint(uninterrupted[1] / "log.npz", {}).load())
    with pytest.raises(InputError) as refusal:
        Checkpoint(copy, {"seed": 1, "epochs": 4, "split_sha256": "ab"}).load()
    assert "seed was 0, is 1." in str(refusal.value)
    assert "epochs" not in str(refusal.value)
    assert f"Next: choose another --out, or delete {tmp_path}" in str(refusal.value)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 junk", None], ids=["empty", "junk", "pickle"]
)
def test_a_damaged_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "log.npz"
    if content is None:
        np.savez(path, about=np.array([{"a": 1}], object))
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"log\.npz is damaged"):
        Checkpoint(path, {}).load()


def test_a_checkpoint_keeps_its_fingerprint_as_plain_json(uninterrupted):
    with np.load(uninterrupted[1] / "log.npz", allow_pickle=False) as stored:
        assert json.loads(str(stored["about"]))["fingerprint"] == {}
