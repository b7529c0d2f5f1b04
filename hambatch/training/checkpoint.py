"""A training's checkpoint: progress and named arrays in one file, bound to what they come from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import Field, asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar
from zipfile import BadZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.errors import InputError
from hambatch.system.files import replacing, write_text
from hambatch.system.schema import convert, decode

Arrays = Mapping[str, NDArray[Any]]


class Progress(Protocol):
    """A dataclass of JSON values; ``history`` has a line for each validation."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def history(self) -> Sequence[Any]:
        """Dataclasses of one kind."""
        ...


P = TypeVar("P", bound=Progress)


@dataclass(frozen=True)
class _About:
    """What a file holds beside arrays."""

    fingerprint: dict[str, Any]
    progress: dict[str, Any]


class Checkpoint(Generic[P]):
    """Progress and arrays on disk.

    Parameters
    ----------
    path
        ``*.npz``, in a folder that is made if it is not there; the log of validations goes
        beside it as ``*.csv``.
    fingerprint
        JSON values by name; a checkpoint with other values is refused.
    kind
        Of progress.
    """

    def __init__(self, path: Path, fingerprint: Mapping[str, Any], kind: type[P]) -> None:
        self._path, self._kind = path, kind
        self._fingerprint = json.loads(json.dumps(fingerprint))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot make the work folder {path.parent}: {error.strerror}.\n"
                "Next: name an --out in a folder that you may write to"
            ) from error

    def save(self, progress: P, groups: Mapping[str, Arrays]) -> None:
        """Replace the file, then the log; a group's name has no colon."""
        about = {"fingerprint": self._fingerprint, "progress": asdict(progress)}
        arrays: dict[str, Any] = {
            f"{group}:{name}": value
            for group, members in groups.items()
            for name, value in members.items()
        }
        with replacing(self._path) as temporary, temporary.open("wb") as stream:
            np.savez(stream, about=np.array(json.dumps(about)), **arrays)
        log = pd.DataFrame(progress.history).to_csv(index=False, na_rep="nan")
        write_text(self._path.with_suffix(".csv"), log)

    def load(self) -> tuple[P, dict[str, dict[str, NDArray[Any]]]] | None:
        """Read progress and arrays by group, or None where there is no file yet.

        Removes what a run left that was killed while it wrote. Raises InputError if the file is
        damaged, or of another run, naming what differs.
        """
        for half in self._path.parent.glob(f".{self._path.name}.*.tmp"):
            half.unlink(missing_ok=True)
        if not self._path.is_file():
            return None
        try:
            found, groups = _read(self._path)
            progress = convert(found.progress, self._kind)
        except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
            raise InputError(
                f"the checkpoint {self._path} is damaged, or of another version of hambatch: "
                f"{error}.\nNext: delete {self._path.parent} and train again"
            ) from error
        self._refuse_other_run(found.fingerprint)
        return progress, groups

    def _refuse_other_run(self, found: Mapping[str, Any]) -> None:
        wanted = self._fingerprint
        differing = [
            f"{name} was {found.get(name)}, is {wanted.get(name)}"
            for name in sorted(found.keys() | wanted.keys())
            if found.get(name) != wanted.get(name)
        ]
        if differing:
            raise InputError(
                f"{self._path} is the checkpoint of another run: {'; '.join(differing)}.\n"
                f"Next: choose another --out, or delete {self._path.parent}"
            )


def _read(path: Path) -> tuple[_About, dict[str, dict[str, NDArray[Any]]]]:
    # Without pickle: reading a checkpoint never executes anything.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        # A loss may be NaN.
        about = convert(decode(str(stored["about"]), strict=False), _About)
        groups: dict[str, dict[str, NDArray[Any]]] = {}
        for key in stored.files:
            group, colon, name = key.partition(":")
            if colon:
                groups.setdefault(group, {})[name] = stored[key]
    return about, groups
