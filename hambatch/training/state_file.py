"""A training run's state on disk: one file of named arrays, bound to what it was made from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import InputError
from hambatch.system.files import replacing, write_text

Arrays = Mapping[str, NDArray[Any]]


def write_state(path: Path, about: Mapping[str, Any], groups: Mapping[str, Arrays]) -> None:
    """Replace the file; ``about`` is JSON, a group's name has no colon."""
    arrays: dict[str, Any] = {
        f"{group}:{name}": value
        for group, members in groups.items()
        for name, value in members.items()
    }
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, about=np.array(json.dumps(about)), **arrays)


def read_state(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, NDArray[Any]]]]:
    """Read what :func:`write_state` wrote; call it within :func:`refusing_damage`."""
    # Without pickle: reading a checkpoint never executes anything.
    with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        about = json.loads(str(stored["about"]))
        groups: dict[str, dict[str, NDArray[Any]]] = {}
        for key in stored.files:
            group, colon, name = key.partition(":")
            if colon:
                groups.setdefault(group, {})[name] = stored[key]
    return about, groups


def is_stored(path: Path) -> bool:
    """Tell whether there is a state; removes what a run that was killed while it wrote has left."""
    for half in path.parent.glob(f".{path.name}.*.tmp"):
        half.unlink(missing_ok=True)
    return path.is_file()


@contextmanager
def refusing_damage(path: Path) -> Iterator[None]:
    """Turn what reading a damaged file raises into an InputError."""
    try:
        yield
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
        raise InputError(
            f"the checkpoint {path} is damaged: {error}.\n"
            f"Next: delete {path.parent} and train again"
        ) from error


def refuse_other(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse the state of another run, naming what differs.

    Raises
    ------
    InputError
        If the fingerprints, JSON values by name, are not the same.
    """
    differing = [
        f"{name} was {found.get(name)}, is {wanted.get(name)}"
        for name in sorted(found.keys() | wanted.keys())
        if found.get(name) != wanted.get(name)
    ]
    if differing:
        raise InputError(
            f"{path} is the checkpoint of another run: {'; '.join(differing)}.\n"
            f"Next: choose another --out, or delete {path.parent}"
        )


def write_log(path: Path, kind: type[Any], lines: Sequence[Any]) -> None:
    """Write dataclasses of one kind as CSV, a line each."""
    names = [column.name for column in fields(kind)]
    rows = [asdict(line) for line in lines]
    text = [",".join(names), *(",".join(str(row[name]) for name in names) for row in rows)]
    write_text(path, "\n".join(text) + "\n")


def work_folder(out: Path) -> Path:
    """Make ``OUT.work``: the engine folder holds nothing but what its manifest names.

    Raises
    ------
    InputError
        If it cannot be made.
    """
    folder = out.with_name(out.name + ".work")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the work folder {folder}: {error.strerror}.\n"
            "Next: name an --out in a folder that you may write to"
        ) from error
    return folder
