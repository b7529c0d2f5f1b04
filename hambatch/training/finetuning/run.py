"""Step after step until validation gets no better; any of them may be the last of a process."""

import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hambatch.errors import InputError
from hambatch.training.finetuning.data import Batch, TuningData
from hambatch.training.finetuning.tuner import FineTuner
from hambatch.training.finetuning.views import pixels_between
from hambatch.training.head import validate
from hambatch.training.options import FineTuneOptions, TrainOptions
from hambatch.training.progress import LOG_EVERY_S
from hambatch.training.state_file import (
    Arrays,
    is_stored,
    read_state,
    refuse_other,
    refusing_damage,
    write_log,
    write_state,
)


@dataclass(frozen=True)
class Validation:
    """One line of the log: the state after ``step``, and the steps since the line before."""

    step: int
    learning_rate: float
    train_loss: float
    val_loss: float
    val_accuracy: float
    val_balanced_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Progress:
    """Steps done, and of those since the last validation the losses and the time."""

    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    history: tuple[Validation, ...] = ()

    def after_step(self, loss: float, seconds: float) -> "Progress":
        """Count one more step."""
        return replace(
            self,
            step=self.step + 1,
            loss_sum=self.loss_sum + loss,
            seconds=self.seconds + seconds,
        )

    def mean_loss(self) -> float:
        """Mean loss of the steps since the last validation; there has to be one step."""
        before = self.history[-1].step if self.history else 0
        return self.loss_sum / (self.step - before)

    def best(self) -> Validation:
        """Give the best validation, the first of equals; there has to be one."""
        return max(self.history, key=lambda line: (line.val_balanced_accuracy, -line.step))


class StepCheckpoint:
    """Progress and arrays on disk, bound to what was trained from.

    Parameters
    ----------
    path
        ``*.npz``; the log of validations goes beside it as ``*.csv``.
    fingerprint
        JSON values by name; a state with other values is refused.
    """

    def __init__(self, path: Path, fingerprint: Mapping[str, Any]) -> None:
        self._path = path
        self._fingerprint = json.loads(json.dumps(fingerprint))

    def save(self, progress: Progress, groups: Mapping[str, Arrays]) -> None:
        """Replace the state, then the log."""
        about = {"fingerprint": self._fingerprint, "progress": asdict(progress)}
        write_state(self._path, about, groups)
        write_log(self._path.with_suffix(".csv"), Validation, progress.history)

    def load(self) -> tuple[Progress, dict[str, Arrays]] | None:
        """Read the state, or None where there is none yet.

        Raises
        ------
        InputError
            If it is of another run, naming what differs, or is damaged.
        """
        if not is_stored(self._path):
            return None
        with refusing_damage(self._path):
            about, groups = read_state(self._path)
            stored = about["progress"]
            history = tuple(Validation(**line) for line in stored.pop("history"))
            progress, found = Progress(**stored, history=history), about["fingerprint"]
        refuse_other(self._path, found, self._fingerprint)
        return progress, dict(groups)


log = logging.getLogger(__name__)


class StepReport:
    """Counts the steps of this process, which may have begun amid a run."""

    def __init__(self, done: int, tune: FineTuneOptions) -> None:
        self._first, self._tune = done, tune
        self._start = self._logged = time.monotonic()

    def stepped(self, progress: Progress) -> None:
        """Tell how it goes, if the last line is old enough."""
        now = time.monotonic()
        if now - self._logged < LOG_EVERY_S:
            return
        self._logged = now
        # With the validations that fell between the steps.
        took_s = now - self._start
        steps_per_s = (progress.step - self._first) / took_s
        log.info(
            "step %d of %d: loss %.4f, %.2f steps/s, at most %.0f min left",
            *(progress.step, self._tune.last_step, progress.mean_loss(), steps_per_s),
            self.left_s(progress.step, took_s) / 60,
        )

    def left_s(self, step: int, took_s: float) -> float:
        """Estimate the time of all steps after ``step`` by that of this process' steps until then.

        As if a step's time were in proportion to the pixels that it sees. A part of it is not, so
        whole views take less than crops let expect.
        """
        seen = pixels_between(self._tune, self._first, step)
        return took_s / seen * pixels_between(self._tune, step, self._tune.last_step)


BEST = "best"


def fine_tune(
    tuner: FineTuner, data: TuningData, options: TrainOptions, checkpoint: StepCheckpoint
) -> Progress:
    """Train until all steps are done or ``val_patience`` validations were no better.

    Goes on from the checkpoint if there is one, to the same weights, bit for bit, as a run
    that was never interrupted on the same machine. Leaves the tuner with the best averages.

    Raises
    ------
    InputError
        If the checkpoint is of another run, an image cannot be read, or the loss is not finite.
    """
    progress, best = _begin(tuner, checkpoint)
    report = StepReport(progress.step, options.finetune)
    batches, saved = data.batches(progress.step, options), time.monotonic()
    while not finished(progress, options.finetune):
        progress = _step(tuner, progress, next(batches))
        report.stepped(progress)
        if validation_is_due(progress.step, options.finetune):
            progress, best = _validated(tuner, data, progress, best)
        elif time.monotonic() - saved < options.finetune.checkpoint_seconds:
            continue
        checkpoint.save(progress, {**tuner.state(), BEST: best})
        saved = time.monotonic()
    tuner.put(best)
    return progress


def fine_tune_blindly(
    tuner: FineTuner, data: TuningData, options: TrainOptions, checkpoint: StepCheckpoint
) -> Progress:
    """Train for a fixed number of steps; nothing is validated, the last averages are taken.

    Goes on from a checkpoint as :func:`fine_tune` does, and raises what it raises.
    """
    progress, _ = _begin(tuner, checkpoint)
    last = options.finetune.last_step
    report = StepReport(progress.step, options.finetune)
    batches, saved = data.batches(progress.step, options), time.monotonic()
    while progress.step < last:
        progress = _step(tuner, progress, next(batches))
        report.stepped(progress)
        due = time.monotonic() - saved >= options.finetune.checkpoint_seconds
        if due or progress.step == last:
            checkpoint.save(progress, tuner.state())
            saved = time.monotonic()
    with tuner.averaged() as averages:
        pass
    tuner.put(averages)
    return progress


def validation_is_due(step: int, options: FineTuneOptions) -> bool:
    """Tell whether this step, or the last of all, is to be validated after."""
    return step % options.val_every == 0 or step == options.steps


def finished(progress: Progress, options: FineTuneOptions) -> bool:
    """Tell whether all steps are done or the best validation is ``val_patience`` ones old."""
    if not progress.history:
        return False
    since = len(progress.history) - 1 - progress.history.index(progress.best())
    return progress.history[-1].step >= options.steps or since >= options.val_patience


def _begin(tuner: FineTuner, checkpoint: StepCheckpoint) -> tuple[Progress, Arrays]:
    stored = checkpoint.load()
    if stored is None:
        return Progress(), {}
    progress, groups = stored
    tuner.restore(groups)
    log.info("going on after step %d", progress.step)
    return progress, groups.get(BEST, {})


def _step(tuner: FineTuner, progress: Progress, batch: Batch) -> Progress:
    started = time.monotonic()
    loss = tuner.step(progress.step + 1, *batch)
    if not math.isfinite(loss):
        raise InputError(
            f"the loss of step {progress.step + 1} is {loss}, wanted a finite number.\n"
            "Next: choose another --out and a smaller --peak-learning-rate"
        )
    return progress.after_step(loss, time.monotonic() - started)


def _validated(
    tuner: FineTuner, data: TuningData, progress: Progress, best: Arrays
) -> tuple[Progress, Arrays]:
    """Add a line to the history; the best averages are these if they are better than before."""
    started = time.monotonic()
    with tuner.averaged() as averages:
        figures = validate(tuner.logits(data.pictures.plain(data.val)), data.val_labels)
    line = Validation(
        step=progress.step,
        learning_rate=tuner.learning_rate(progress.step),
        train_loss=progress.mean_loss(),
        **figures._asdict(),
        seconds=round(progress.seconds + time.monotonic() - started, 3),
    )
    validated = Progress(progress.step, history=(*progress.history, line))
    log.info(
        "step %d: loss %.4f, validation loss %.4f, balanced accuracy %.4f, %.0f s",
        *(line.step, line.train_loss, line.val_loss, line.val_balanced_accuracy, line.seconds),
    )
    return validated, averages if validated.best() is line else best
