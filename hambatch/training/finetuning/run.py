"""Step after step until validation gets no better; resumable after each."""

import logging
import math
import time
from dataclasses import dataclass, replace

from hambatch.errors import InputError
from hambatch.training.checkpoint import Arrays, Checkpoint
from hambatch.training.finetuning.data import Batch, TuningData, pixels_between
from hambatch.training.finetuning.tuner import AVERAGES, FineTuner
from hambatch.training.options import FineTuneOptions, TrainOptions
from hambatch.training.progress import Pace
from hambatch.training.validation import best_of, lines_since_best, validate

BEST = "best"

log = logging.getLogger(__name__)


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


def fine_tune(
    tuner: FineTuner, data: TuningData, options: TrainOptions, checkpoint: Checkpoint[Progress]
) -> Progress:
    """Train until all steps are done or ``val_patience`` validations were no better.

    A final training validates nothing and takes the last averages. Resumes from the checkpoint
    if there is one, to the same weights, bit for bit, as a run that was never interrupted on the
    same machine. Leaves the tuner with the best averages. Raises InputError if the checkpoint is
    of another run, an image cannot be read, or the loss is not finite.
    """
    tune = options.finetune
    progress, best = _resumed(tuner, checkpoint)
    first, pace = progress.step, Pace(pixels_between(tune, progress.step, tune.last_step))
    batches, saved = data.batches(first, options), time.monotonic()
    while not finished(progress, tune):
        progress = _step(tuner, progress, next(batches))
        if pace.is_line_due():
            _log(progress, first, pace, tune)
        if validation_is_due(progress.step, tune):
            progress, best = _validated(tuner, data, progress, best)
        elif progress.step != tune.last_step and time.monotonic() - saved < tune.checkpoint_seconds:
            continue
        checkpoint.save(progress, {**tuner.state(), BEST: best})
        saved = time.monotonic()
    if tune.final:
        best = tuner.state()[AVERAGES]
    tuner.put(best)
    return progress


def validation_is_due(step: int, tune: FineTuneOptions) -> bool:
    """Whether this step is followed by a validation, as the last of all is."""
    return not tune.final and (step % tune.val_every == 0 or step == tune.steps)


def finished(progress: Progress, tune: FineTuneOptions) -> bool:
    """Whether all steps are done or the best validation is ``val_patience`` ones old.

    Those of the first ``head_steps`` do not count: the base is not trained yet.
    """
    if tune.final:
        return progress.step >= tune.last_step
    history = progress.history
    of_base = [line for line in history if line.step > tune.head_steps]
    return bool(history) and (
        history[-1].step >= tune.steps or lines_since_best(of_base) >= tune.val_patience
    )


def _resumed(tuner: FineTuner, checkpoint: Checkpoint[Progress]) -> tuple[Progress, Arrays]:
    stored = checkpoint.load()
    if stored is None:
        return Progress(), {}
    progress, groups = stored
    tuner.restore(groups)
    log.info("resuming after step %d", progress.step)
    return progress, groups.get(BEST, {})


def _step(tuner: FineTuner, progress: Progress, batch: Batch) -> Progress:
    started = time.monotonic()
    loss = tuner.step(progress.step + 1, batch)
    if not math.isfinite(loss):
        raise InputError(
            f"the loss of step {progress.step + 1} is {loss}, wanted a finite number.\n"
            "Next: choose another --out and a smaller --peak-learning-rate"
        )
    return progress.after_step(loss, time.monotonic() - started)


def _log(progress: Progress, first: int, pace: Pace, tune: FineTuneOptions) -> None:
    """Log the steps of this process, and the time that is left with the validations between.

    As if a step's time were in proportion to the pixels that it sees. A part of it is not, so
    whole views take less than estimated by crops.
    """
    step = progress.step
    log.info(
        "step %d of %d: loss %.4f, %.2f steps/s, at most %.0f min left",
        *(step, tune.last_step, progress.mean_loss(), (step - first) / pace.elapsed_s()),
        pace.left_s(pixels_between(tune, first, step)) / 60,
    )


def _validated(
    tuner: FineTuner, data: TuningData, progress: Progress, best: Arrays
) -> tuple[Progress, Arrays]:
    """Add a line to the history; the best averages are these if they are better than before."""
    started = time.monotonic()
    with tuner.averaged() as averages:
        figures = validate(tuner.logits(data.plain(data.val)), data.val_labels)
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
    return validated, averages if best_of(validated.history) is line else best
