"""The state of a training run after an epoch: one file of arrays, written atomically."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
