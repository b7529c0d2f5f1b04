"""The state of a fine-tuning after some step: one file of arrays, written atomically."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

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
