"""Fine-tuning to its end: it learns, stops, and goes on after a kill as if nothing had happened."""

import csv
import json
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.training.checkpoint import Checkpoint
from hambatch.training.finetuning.run import Progress, Validation, fine_tune, finished
from hambatch.training.finetuning.tuner import FineTuner
from hambatch.training.validation import best_of
from tests.training.finetuning.tiny import OPTIONS, TUNE, tuner_of, tuning_data
from tests.waiting import wait_for

REPOSITORY = Path(__file__).parents[3]


def run_so_far(steps: int, images: str, folder: str) -> None:
    """Train in a process of its own until it is killed after so many steps."""
    step, done = FineTuner.step, []

    def held(*arguments):
        if len(done) == steps:
            signal.pause()
        done.append(True)
        return step(*arguments)

    FineTuner.step = held
    run(Path(images), Path(folder))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@pytest.fixture(scope="module")
def uninterrupted(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return (*run(images, folder), folder)


def run(images, folder, options=OPTIONS):
    tuner, checkpoint = tuner_of(options), Checkpoint(folder / "steps.npz", {}, Progress)
    return tuner, fine_tune(tuner, tuning_data(images, options), options, checkpoint)


def same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])


def without_seconds(history):
    return [replace(line, seconds=0.0) for line in history]


def test_it_learns(uninterrupted):
    _, progress, _ = uninterrupted
    assert progress.history[-1].train_loss < progress.history[0].train_loss
    assert best_of(progress.history).val_balanced_accuracy > 0.3


def test_killed_at_a_random_step_it_goes_on_to_the_very_same_weights(
    uninterrupted, images, tmp_path
):
    tuner, progress, folder = uninterrupted
    after = random.randint(1, TUNE.steps - 3)  # noqa: S311
    call = f"run({after}, {str(images)!r}, {str(tmp_path)!r})"
    code = f"from tests.training.finetuning.test_run import run_so_far as run; {call}"
    child = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY)
    path = tmp_path / "steps.npz"
    with child:
        wait_for(lambda: steps_in(path) == after, f"step {after}", child)
        child.send_signal(signal.SIGKILL)
    resumed, again = run(images, tmp_path)
    for group, values in tuner.state().items():
        same(resumed.state()[group], values)
    assert without_seconds(again.history) == without_seconds(progress.history)
    whole, found = (Checkpoint(f / "steps.npz", {}, Progress).load() for f in (folder, tmp_path))
    for group, values in whole[1].items():
        same(found[1][group], values)


def steps_in(path: Path) -> int:
    # Not by load(), which clears away what is being written.
    if not path.is_file():
        return 0
    with np.load(path, allow_pickle=False) as stored:
        return json.loads(str(stored["about"]))["progress"]["step"]


def test_a_finished_run_is_not_trained_again(uninterrupted, images):
    tuner, _, folder = uninterrupted
    before = (folder / "steps.npz").read_bytes()
    again, _ = run(images, folder)
    assert (folder / "steps.npz").read_bytes() == before
    same(again.state()["weights"], tuner.state()["weights"])


def test_the_averages_of_the_best_validation_are_kept(images, tmp_path):
    tune = replace(TUNE, peak_learning_rate=1.0, val_every=2, val_patience=2)
    tuner, progress = run(images, tmp_path, replace(OPTIONS, finetune=tune))
    best = best_of(progress.history)
    since = progress.history.index(best)
    assert len(progress.history) - 1 - since == 2 or progress.step == tune.steps
    data = tuning_data(images)
    logits = tuner.logits(data.plain(data.val))
    assert (logits.argmax(axis=1) == data.val_labels).mean() == best.val_accuracy


def test_a_loss_that_is_no_number_ends_the_run_with_the_way_out(images, tmp_path):
    tune = replace(TUNE, peak_learning_rate=1e30)
    with pytest.raises(InputError, match=r"(?s)loss of step \d+ is .*\nNext: .*--peak-learning"):
        run(images, tmp_path, replace(OPTIONS, finetune=tune))


def lines(*accuracies):
    return tuple(Validation(4 * k, 0, 0, 0, 0, value, 0) for k, value in enumerate(accuracies, 1))


def test_the_mean_loss_is_of_the_steps_since_the_last_validation():
    assert Progress(7, 1 / 3, history=lines(0.1)[:1]).mean_loss() == pytest.approx(1 / 9)
    assert Progress().after_step(2.0, 0.1).after_step(4.0, 0.1).mean_loss() == 3.0


def test_it_stops_when_the_best_is_patience_validations_old_or_all_steps_are_done():
    tune = replace(TUNE, steps=100, val_patience=2)
    assert not finished(Progress(), tune)
    assert not finished(Progress(12, history=lines(0.1, 0.5, 0.5)), tune)
    assert finished(Progress(16, history=lines(0.1, 0.5, 0.5, 0.4)), tune)
    assert finished(Progress(8, history=lines(0.1, 0.5)), replace(tune, steps=8))
    # The head alone gets no better for a while: the base is still to be trained.
    plateau = Progress(16, history=lines(0.1, 0.5, 0.5, 0.4))
    assert not finished(plateau, replace(tune, head_steps=8))


def test_the_log_has_a_line_a_validation_and_the_last_step_is_validated(images, tmp_path):
    tune = replace(TUNE, steps=6, checkpoint_seconds=600.0)
    _, progress = run(images, tmp_path, replace(OPTIONS, finetune=tune))
    with (tmp_path / "steps.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["step"]) for row in rows] == [4, 6]
    assert float(rows[1]["val_balanced_accuracy"]) == progress.history[1].val_balanced_accuracy
    assert float(rows[0]["learning_rate"]) > float(rows[1]["learning_rate"]) > 0


def finally_tuned(images, folder, **changes):
    options = replace(OPTIONS, finetune=replace(TUNE, final=True, **changes))
    tuner, checkpoint = tuner_of(options), Checkpoint(folder / "steps.npz", {}, Progress)
    data = tuning_data(images, options)
    blind = replace(data, val=[], val_labels=data.val_labels[:0])
    return tuner, fine_tune(tuner, blind, options, checkpoint)


def test_a_final_training_ends_with_the_averages_of_the_step_that_it_stops_at(images, tmp_path):
    tuner, progress = finally_tuned(images, tmp_path, stop_step=8)
    assert (progress.step, progress.history) == (8, ())
    state = tuner.state()
    same(state["weights"], state["averages"])
    # The learning rate is that of a run with validation at that step: it goes as for all steps.
    assert tuner_of().learning_rate(8) == tuner.learning_rate(8) > 0


CROPS = {"crop_side": 96, "crop_share": 0.5}


def test_a_final_training_resumes_to_the_same_weights(images, tmp_path):
    """Stopped among the crops, and again among the whole views."""
    whole, _ = finally_tuned(images, tmp_path / "whole", **CROPS)
    for stop in (2, 8):
        stopped = finally_tuned(images, tmp_path / "parts", stop_step=stop, **CROPS)[1]
        assert stopped.step == stop
    resumed, progress = finally_tuned(images, tmp_path / "parts", **CROPS)
    assert progress.step == TUNE.steps
    same(resumed.state()["weights"], whole.state()["weights"])
