"""Closing an engine folder: every file hashed, `engine.json` written last."""

from dataclasses import replace
from pathlib import Path

from hambatch.atomic import write_json
from hambatch.engines.manifest import MANIFEST_NAME, EngineFile, Manifest, read_manifest
from hambatch.errors import EngineError
from hambatch.hashing import sha256_of_file

OPTIONAL_FILES = frozenset({"model.weights.h5"})
"""May be absent where an engine is used: large, and needed by the reference only."""


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Hash the folder's files and write ``engine.json``, after all of them.

    Hidden files and folders inside are no part of an engine; nothing reads them.
    An optional file that ``manifest`` names and that is not here keeps its entry.

    Returns
    -------
    Manifest
        As read back from the file, ``files`` filled.

    Raises
    ------
    EngineError
        If a graph that ``manifest`` names is not in the folder.
    """
    found = {path.name: _entry(path) for path in folder.iterdir() if _belongs(path)}
    absent = {n: e for n, e in manifest.files.items() if e.optional and n not in found}
    files = dict(sorted({**found, **absent}.items()))
    for variant in manifest.variants:
        if variant.file not in files:
            raise EngineError(
                f"{folder / variant.file} is missing: the {variant.precision} graph is to be "
                "written before engine.json.\nNext: hambatch export, or hambatch train"
            )
    write_json(folder / MANIFEST_NAME, replace(manifest, files=files).to_json())
    return read_manifest(folder)


def _belongs(path: Path) -> bool:
    return path.is_file() and path.name != MANIFEST_NAME and not path.name.startswith(".")


def _entry(path: Path) -> EngineFile:
    return EngineFile(sha256_of_file(path), path.stat().st_size, path.name in OPTIONAL_FILES)
