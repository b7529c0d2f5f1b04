"""A line now and then that says how fast it goes and how long it takes."""

import logging
import time

from hambatch.training.finetuning.step_checkpoint import Progress
from hambatch.training.progress import LOG_EVERY_S

log = logging.getLogger(__name__)


class StepReport:
    """Counts the steps of this process, which may have begun amid a run."""

    def __init__(self, done: int, steps: int) -> None:
        self._first, self._steps = done, steps
        self._start = self._logged = time.monotonic()

    def stepped(self, progress: Progress) -> None:
        """Tell how it goes, if the last line is old enough."""
        now = time.monotonic()
        if now - self._logged < LOG_EVERY_S:
            return
        self._logged = now
        # With the validations that fell between the steps.
        steps_per_s = (progress.step - self._first) / (now - self._start)
        left_s = (self._steps - progress.step) / steps_per_s
        log.info(
            "step %d of %d: loss %.4f, %.2f steps/s, at most %.0f min left",
            *(progress.step, self._steps, progress.mean_loss(), steps_per_s, left_s / 60),
        )
