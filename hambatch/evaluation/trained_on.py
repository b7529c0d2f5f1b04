"""Which images the engine behind some predictions was trained on: none of them is evaluated."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from hambatch.engines.loading import find_engine
from hambatch.engines.manifest import MANIFEST_NAME, Manifest, read_manifest
from hambatch.errors import EngineError, InputError
from hambatch.evaluation.join import Joined
from hambatch.evaluation.leaks import refuse_leaks, with_thumbnails
from hambatch.evaluation.out_of_fold import read_out_of_fold_record
from hambatch.ham10000.table import read_split
from hambatch.score.record import read_record
from hambatch.sinks.publish import record_path
from hambatch.system.files import sha256_of_file
from hambatch.system.text import decode_name

TRAIN = ("train",)


class Training(NamedTuple):
    """What an engine's card says of its training: the split table, and its sides used."""

    engine: str
    split_sha256: str
    sides: tuple[str, ...]


def check_training(
    joined: Joined, predictions: Path, truth: Path, data: Path | None, *, second: bool = False
) -> dict[str, Any]:
    """Stop where an evaluated image leaks from the training, as far as that is known.

    The split table is ``data``; or the truth, where the card of the engine that
    the record of the run names says that it was trained with that very table.
    The ``second`` of two predictions may be of an engine with another split table than ``data``.

    Returns
    -------
    JSON-able: ``done``; if so, ``split``, ``sides``, whether these are ``assumed``, and what
    :func:`~hambatch.evaluation.leaks.refuse_leaks` returns; else ``why`` not.

    Raises InputError if an image leaks, or ``data`` is not the table of the engine's training.
    """
    if read_out_of_fold_record(predictions) is not None:
        return {"done": False, "why": "out of fold: no image is by a network that saw its lesion"}
    try:
        record = read_record(record_path(predictions))
    except InputError:
        record = None
    own = record is not None and record["output"]["sha256"] == sha256_of_file(predictions)
    training = training_of(record) if record is not None and own else None
    path = data or truth
    split = read_split(path) if data else None
    digest = sha256_of_file(path)
    other = training is not None and training.split_sha256 != digest
    if (data is None and training is None) or (other and (data is None or second)):
        of_another = record is not None and not own
        return {"done": False, "why": _unknown(training, predictions.name, of_another=of_another)}
    if training is not None and other:
        raise InputError(
            f"{path}: found sha256 {digest}; wanted the split table that the "
            f"engine {training.engine} was trained with, {training.split_sha256}.\n"
            "Next: give that table to --data"
        )
    sides = training.sides if training else TRAIN
    split = read_split(path) if split is None else split
    images, split = with_thumbnails(joined.images, split, predictions, path, record)
    found = refuse_leaks(images, split, sides, predictions, path)
    about = {"done": True, "sides": list(sides), "assumed": training is None}
    return {**about, "split": {"file": path.name, "sha256": digest}, **found}


def training_of(record: Mapping[str, Any]) -> Training | None:
    """Look the training up: the record of the run names the engine, its manifest the table.

    None if the engine is not there, has another graph by now, or does not say. What an engine
    gets later (a gate, a temperature, an INT8 graph) changes nothing of that.

    Raises EngineError if the engine is there and its manifest is not what was written.
    """
    engine = record["fingerprint"]["engine"]
    for candidate in (decode_name(record["options"]["engine"]), engine.get("name")):
        manifest = _manifest(str(candidate), engine)
        if manifest is not None:
            split = manifest.data.get("split_sha256")
            sides = tuple(manifest.data.get("trained_on", TRAIN))
            return Training(manifest.name, split, sides) if isinstance(split, str) else None
    return None


def _manifest(name: str, engine: Mapping[str, Any]) -> Manifest | None:
    try:
        folder = find_engine(name)
    except (EngineError, OSError):
        return None
    manifest = read_manifest(folder)
    same = sha256_of_file(folder / MANIFEST_NAME) == engine.get("engine_json_sha256")
    graphs = {manifest.files[variant.file].sha256 for variant in manifest.variants}
    return manifest if same or engine.get("graph_sha256") in graphs else None


def _unknown(training: Training | None, table: str, *, of_another: bool) -> str:
    """Say why the training images are not known."""
    if training is not None:
        return (
            f"the engine {training.engine} was trained with a split table of sha256 "
            f"{training.split_sha256[:12]}; give it to --data"
        )
    if of_another:
        return (
            f"{table} is not the table that its record describes, so who scored "
            "it is not known: hambatch verify says what differs"
        )
    return "the training images are not known; give their split table to --data"
