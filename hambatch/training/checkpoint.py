"""The state of a training run after an epoch: one file of arrays, written atomically."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hambatch.atomic import replacing, write_text
from hambatch.errors import InputError

Arrays = Mapping[str, NDArray[Any]]


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
        arrays = {
            f"{group}:{name}": value
            for group in ("weights", "optimizer", "best")
            for name, value in getattr(state, group).items()
        }
        with replacing(self._path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, about=np.array(json.dumps(about)), **arrays)
        names = [column.name for column in fields(Epoch)]
        lines = [",".join(names)]
        lines += [",".join(str(getattr(e, name)) for name in names) for e in state.history]
        write_text(self._path.with_suffix(".csv"), "\n".join(lines) + "\n")

    def load(self) -> State | None:
        """Read the state, or None where there is none yet.

        Raises
        ------
        InputError
            If it is of another run, naming what differs, or is damaged.
        """
        if not self._path.is_file():
            return None
        try:
            # Without pickle: reading a checkpoint never executes anything.
            with (
                self._path.open("rb") as stream,
                np.load(stream, allow_pickle=False) as stored,
            ):
                about = json.loads(str(stored["about"]))
                arrays = {name: stored[name] for name in stored.files if name != "about"}
            history = tuple(Epoch(**entry) for entry in about["history"])
        except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
            raise InputError(
                f"the checkpoint {self._path} is damaged: {error}.\n"
                f"Next: delete {self._path.parent} and train again"
            ) from error
        self._refuse_other(about["fingerprint"])
        return State(
            weights=_group(arrays, "weights"),
            optimizer=_group(arrays, "optimizer"),
            best=_group(arrays, "best"),
            history=history,
        )

    def _refuse_other(self, found: Mapping[str, Any]) -> None:
        names = sorted(found.keys() | self._fingerprint.keys())
        differing = [
            f"{name} was {found.get(name)}, is {self._fingerprint.get(name)}"
            for name in names
            if found.get(name) != self._fingerprint.get(name)
        ]
        if differing:
            raise InputError(
                f"{self._path} is the checkpoint of another run: {'; '.join(differing)}.\n"
                f"Next: choose another --out, or delete {self._path.parent}"
            )


def _group(arrays: Arrays, group: str) -> dict[str, NDArray[Any]]:
    prefix = f"{group}:"
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
