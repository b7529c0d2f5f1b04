"""A line now and then that says how fast it goes and how long it takes."""

import logging
import time

from hambatch.training.finetuning.crops import pixels_between
from hambatch.training.finetuning.options import FineTuneOptions
from hambatch.training.finetuning.step_checkpoint import Progress
from hambatch.training.progress import LOG_EVERY_S

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
