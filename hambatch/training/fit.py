"""Training with early stopping: epoch after epoch, each one safe before the next begins."""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hambatch.training.head import HeadTrainer, TrainingData, validate
from hambatch.training.options import TrainOptions
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
class Epoch:
    """One line of the log; ``epoch`` counts from 1."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    val_balanced_accuracy: float
    seconds: float


@dataclass(frozen=True)
class State:
    """All that a run needs to go on: arrays by name, and the epochs so far."""

    weights: Arrays
    optimizer: Arrays
    best: Arrays
    history: tuple[Epoch, ...] = field(default=())


class Checkpoint:
    """A state on disk, bound to what it was trained from.

    Parameters
    ----------
    path
        ``*.npz``; the log of epochs goes beside it as ``*.csv``.
    fingerprint
        JSON values by name; a state with other values is refused.
    """

    def __init__(self, path: Path, fingerprint: Mapping[str, Any]) -> None:
        self._path = path
        self._fingerprint = json.loads(json.dumps(fingerprint))

    def save(self, state: State) -> None:
        """Replace the state, then the log."""
        about = {
            "fingerprint": self._fingerprint,
            "history": [asdict(epoch) for epoch in state.history],
        }
        groups = {"weights": state.weights, "optimizer": state.optimizer, "best": state.best}
        write_state(self._path, about, groups)
        write_log(self._path.with_suffix(".csv"), Epoch, state.history)

    def load(self) -> State | None:
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
            history = tuple(Epoch(**entry) for entry in about["history"])
            found, state = about["fingerprint"], State(**groups, history=history)
        refuse_other(self._path, found, self._fingerprint)
        return state


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """A trainer with the weights of its best epoch, and all epochs."""

    trainer: HeadTrainer
    history: Sequence[Epoch]


def fit(data: TrainingData, options: TrainOptions, checkpoint: Checkpoint) -> Fitted:
    """Train until validation balanced accuracy has not risen for ``patience`` epochs.

    Goes on from the checkpoint if there is one, to the same weights, bit for
    bit, as a run that was never interrupted on the same machine.

    Raises
    ------
    InputError
        If the checkpoint is of another run.
    """
    trainer = HeadTrainer(options)
    state = checkpoint.load()
    if state is None:
        start = trainer.weights()
        state = State(start, trainer.optimizer_state(), start)
    trainer.set_weights(state.weights)
    trainer.set_optimizer_state(state.optimizer)
    while not finished(state.history, options):
        state = _advance(trainer, data, state)
        checkpoint.save(state)
        _log_epoch(state.history, options)
    trainer.set_weights(state.best)
    return Fitted(trainer, state.history)


def finished(history: Sequence[Epoch], options: TrainOptions) -> bool:
    """Tell whether all epochs are done or the best is ``patience`` epochs old."""
    return len(history) >= options.epochs or len(history) - best_epoch(history) >= options.patience


def best_epoch(history: Sequence[Epoch]) -> int:
    """Number of the best epoch, the first of equals; 0 before any."""
    if not history:
        return 0
    return max(history, key=lambda epoch: (epoch.val_balanced_accuracy, -epoch.epoch)).epoch


def _advance(trainer: HeadTrainer, data: TrainingData, state: State) -> State:
    started = time.monotonic()
    number = len(state.history) + 1
    train_loss = trainer.run_epoch(data, number)
    logits = trainer.logits(data.val_features)
    epoch = Epoch(
        epoch=number,
        train_loss=train_loss,
        **validate(logits, data.val_labels)._asdict(),
        seconds=round(time.monotonic() - started, 3),
    )
    history = (*state.history, epoch)
    weights = trainer.weights()
    best = weights if best_epoch(history) == number else state.best
    return State(weights, trainer.optimizer_state(), best, history)


def _log_epoch(history: Sequence[Epoch], options: TrainOptions) -> None:
    """Tell the last epoch, and the shortest and longest time that may be left."""
    last = history[-1]
    at_most = options.epochs - last.epoch
    at_least = min(at_most, best_epoch(history) + options.patience - last.epoch)
    log.info(
        "epoch %d: loss %.4f, validation loss %.4f, balanced accuracy %.4f, "
        "%.1f s; %.0f to %.0f s left",
        *(last.epoch, last.train_loss, last.val_loss, last.val_balanced_accuracy, last.seconds),
        *(at_least * last.seconds, at_most * last.seconds),
    )
