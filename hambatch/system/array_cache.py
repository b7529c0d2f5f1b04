"""Arrays on disk, one row for each (image, view): computed once, shared by all runs.

A folder of blocks, each ``NAME.npy`` (pooled features, float32 ``[n, 2048]``, or other rows)
with ``NAME.json`` (its n pairs). A block is complete before its ``.json`` appears, so a killed run
loses the block in hand and nothing else. Blocks are only ever added.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import InputError
from hambatch.system.cache import user_cache
from hambatch.system.files import replacing, sha256_of_bytes, write_text
from hambatch.system.schema import read_json_file

FLOAT32 = np.dtype(np.float32)
_NAME_ANOTHER = "name a folder that you may write to with --cache, or in XDG_CACHE_HOME"


class Pair(NamedTuple):
    """One view of one image, the image named by the sha256 of its bytes."""

    sha256: str
    view: int


def default_cache() -> Path:
    """The folder of features in the user's cache; raises InputError where the user has none."""
    folder = user_cache("features")
    if folder is None:
        raise InputError(f"this user has no home to keep features in.\nNext: {_NAME_ANOTHER}")
    return folder


class FeatureCache:
    """The rows of one key: same weights, same pixels, in a folder that is made if need be.

    Raises InputError if the folder cannot be written to, or a block in it is damaged.
    """

    def __init__(self, folder: Path, columns: int, dtype: np.dtype[Any] = FLOAT32) -> None:
        self.folder, self._columns, self._dtype = folder, columns, dtype
        self._where: dict[Pair, tuple[Path, int]] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot keep features in {folder}: {error.strerror}.\nNext: {_NAME_ANOTHER}"
            ) from error
        for index in sorted(folder.glob("*.json")):
            self._add(index.with_suffix(".npy"), _pairs_of(index))

    def __contains__(self, pair: Pair) -> bool:
        """Tell whether this view has been computed."""
        return pair in self._where

    def append(self, pairs: Sequence[Pair], features: NDArray[Any]) -> None:
        """Write one block, durably; features are ``[len(pairs), columns]``."""
        text = json.dumps(pairs)
        # Named by content: two runs that add at once never meet in one file.
        block = self.folder / f"{sha256_of_bytes(text.encode())[:24]}.npy"
        with replacing(block) as temporary, temporary.open("wb") as stream:
            np.save(stream, features, allow_pickle=False)
        write_text(block.with_suffix(".json"), text + "\n")
        self._add(block, pairs)

    def read(self, pairs: Sequence[Pair]) -> NDArray[Any]:
        """Gather features ``[len(pairs), columns]``; all pairs must be there."""
        out = np.empty((len(pairs), self._columns), self._dtype)
        rows: dict[Path, list[tuple[int, int]]] = {}
        for at, pair in enumerate(pairs):
            block, row = self._where[pair]
            rows.setdefault(block, []).append((at, row))
        for block, places in rows.items():
            to, source = np.array(places).T
            out[to] = np.load(block, mmap_mode="r", allow_pickle=False)[source]
        return out

    def _add(self, block: Path, pairs: Sequence[Pair]) -> None:
        try:
            shape = np.load(block, mmap_mode="r", allow_pickle=False).shape
        except (OSError, ValueError) as error:
            raise _damaged(block, str(error)) from error
        if shape != (wanted := (len(pairs), self._columns)):
            raise _damaged(block, f"its shape is {shape}, wanted {wanted}")
        self._where.update((pair, (block, row)) for row, pair in enumerate(pairs))


def _pairs_of(index: Path) -> list[Pair]:
    try:
        return read_json_file(index, list[Pair])
    except (OSError, ValueError) as error:
        raise _damaged(index, str(error)) from error


def _damaged(path: Path, why: str) -> InputError:
    return InputError(
        f"the feature cache is damaged: {path}: {why}.\n"
        f"Next: delete {path.with_suffix('.npy')} and {path.with_suffix('.json')}, "
        "they are computed again"
    )
