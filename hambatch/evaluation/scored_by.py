"""Which engine made a table of predictions: by its record, or as the user says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hambatch.engines.loading import find_engine, installed_engines
from hambatch.engines.manifest import (
    MANIFEST_NAME,
    TRAINING_IMAGES,
    Manifest,
    identity_of,
    read_manifest,
)
from hambatch.errors import EngineError, InputError
from hambatch.evaluation.options import NONE
from hambatch.scoring.record import read_record, temperature_used
from hambatch.sinks.publish import record_path
from hambatch.system.files import sha256_of_file
from hambatch.system.text import decode_name


@dataclass(frozen=True)
class ScoredBy:
    """The engine behind some predictions.

    Without a ``manifest`` it is not known; ``why`` says so, and ``following`` what to do. It may be
    any engine then, unless it is ``another`` than those that are installed. ``record`` is that of
    the run, where there is one, even of another state of the table.
    """

    folder: Path = Path()
    manifest: Manifest | None = None
    record: Mapping[str, Any] | None = None
    why: str = ""
    following: str = f"add --engine NAME, or --engine {NONE} if no engine made the predictions"
    another: bool = False


def scored_by(predictions: Path, engine: str | None) -> ScoredBy:
    """Find the engine: the one that the record names; ``engine`` where there is no such record.

    Raises EngineError if an engine has a damaged manifest, or ``engine`` is none; InputError if
    the record says that it is another.
    """
    record, given = _record_of(predictions), None
    if engine not in (None, NONE):
        given = find_engine(engine)
    if record is not None and record["output"]["sha256"] == sha256_of_file(predictions):
        return _by_record(predictions, record, given)
    if engine == NONE:
        why = f"--engine {NONE} says that no engine made {predictions.name}"
        following = "give the split table of the training, if there is one, to --data"
        return ScoredBy(record=record, why=why, following=following, another=True)
    if given is not None:
        return ScoredBy(*_listing(given, read_manifest(given)), record)
    why = f"{predictions.name} has no record beside it that names its engine"
    if record is not None:
        why = (
            f"{predictions.name} is not the table that its record describes (hambatch verify says "
            "what differs), so it is not known which engine made it"
        )
    return ScoredBy(record=record, why=why)


def engine_of(predictions: Path) -> dict[str, Any] | None:
    """Say how the table was scored, by the record beside it; None without a record of this table.

    Returns
    -------
    ``name``, ``engine_json_sha256`` and ``graph_sha256`` of the engine, ``backend``,
    ``precision``, ``views`` and ``temperature``; None for what an old record lacks.
    """
    record = _record_of(predictions)
    if record is None or record["output"]["sha256"] != sha256_of_file(predictions):
        return None
    used, backend = record["fingerprint"]["engine"], record["fingerprint"]["backend"]
    return {
        **{name: used.get(name) for name in ("name", "engine_json_sha256", "graph_sha256")},
        "backend": backend["name"],
        "precision": backend["precision"],
        "views": backend.get("tta", 1),
        "temperature": temperature_used(record),
    }


def _record_of(predictions: Path) -> dict[str, Any] | None:
    try:
        return read_record(record_path(predictions))
    except InputError:
        return None


def _by_record(predictions: Path, record: Mapping[str, Any], given: Path | None) -> ScoredBy:
    """Find the engine whose manifest or graph the record has, wherever it lies now.

    What an engine gets later (a gate, a temperature, an INT8 graph) changes neither its weights
    nor what they were trained on.
    """
    used = record["fingerprint"]["engine"]
    for folder in _candidates(record, given):
        manifest = read_manifest(folder)
        if used.get("graph_sha256") in manifest.graphs or _same_manifest(folder, used):
            return ScoredBy(*_listing(folder, manifest), record)
    name = used.get("name")
    if given is not None:
        raise InputError(
            f"--engine {given}: found another engine than the one that the record of "
            f"{predictions} names, {name}; wanted that one.\n"
            "Next: leave --engine away, or give the folder of that engine"
        )
    why = f"the engine {name}, which made {predictions.name} by its record, is not here"
    following = "give the folder of that engine to --engine"
    return ScoredBy(record=record, why=why, following=following, another=True)


def _candidates(record: Mapping[str, Any], given: Path | None) -> Iterator[Path]:
    named = (decode_name(record["options"]["engine"]), record["fingerprint"]["engine"].get("name"))
    for name in named:
        try:
            yield find_engine(str(name))
        except (EngineError, OSError):
            continue
    if given is not None:
        yield given
    yield from installed_engines()


def _listing(folder: Path, manifest: Manifest) -> tuple[Path, Manifest]:
    """Take the installed engine of the same weights and training, if it alone has a list."""
    own = manifest.data.get("split_sha256")
    others = () if TRAINING_IMAGES in manifest.files else installed_engines()
    for other in others:
        theirs = read_manifest(other)
        if (
            TRAINING_IMAGES in theirs.files
            and own in (None, theirs.data.get("split_sha256"))
            and manifest.graphs & theirs.graphs
        ):
            return other, theirs
    return folder, manifest


def _same_manifest(folder: Path, used: Mapping[str, Any]) -> bool:
    # The whole file's hash is what hambatch recorded before there were lists of training images.
    known = identity_of(folder), sha256_of_file(folder / MANIFEST_NAME)
    return used.get("engine_json_sha256") in known
