"""Step after step until validation gets no better; any of them may be the last of a process."""

import logging
import math
import time

from hambatch.config import TrainOptions
from hambatch.errors import InputError
from hambatch.training.finetuning.data import Batch, TuningData
from hambatch.training.finetuning.options import FineTuneOptions
from hambatch.training.finetuning.step_checkpoint import Progress, StepCheckpoint, Validation
from hambatch.training.finetuning.step_report import StepReport
from hambatch.training.finetuning.tuner import FineTuner
from hambatch.training.state_file import Arrays
from hambatch.training.validation import validate

BEST = "best"

log = logging.getLogger(__name__)


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
