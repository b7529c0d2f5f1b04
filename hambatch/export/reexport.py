"""`hambatch export`: an engine's graph made again from its Keras weights."""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hambatch.engines.manifest import Manifest, Variant, read_manifest
from hambatch.engines.sentinel_spec import Sentinels
from hambatch.engines.store import find_engine
from hambatch.engines.writing import write_manifest
from hambatch.errors import EngineError
from hambatch.export.graph import GRAPH_NAME, export_graph
from hambatch.export.images import read_images
from hambatch.export.keras_weights import SUFFIX, load_network
from hambatch.hashing import sha256_of_file
from hambatch.sentinel_recording import record_sentinels


class Reexported(NamedTuple):
    """The engine's folder, its manifest as written, and the graphs taken out of it."""

    folder: Path
    manifest: Manifest
    removed: tuple[Variant, ...]


def reexport(weights_or_engine: str, images: Path) -> Reexported:
    """Export ``model.onnx`` again; of ``engine.json`` only its hash, parity and sentinels change.

    If it is another graph now, the INT8 graph made from the old one goes, with its gates.
    A run that dies between the two files leaves an engine that loading refuses
    and that the same command repairs.

    Parameters
    ----------
    weights_or_engine
        An engine's name or folder, or the ``.weights.h5`` file inside one.
    images
        Folder of at least 8 images to compare the graph with Keras on.

    Raises
    ------
    EngineError
        If the weights are missing, a file is not the one that ``engine.json``
        names, or the graph is too far from Keras.
    InputError
        If there are too few images.
    """
    is_weights = weights_or_engine.endswith(SUFFIX)
    folder = find_engine(str(Path(weights_or_engine).parent) if is_weights else weights_or_engine)
    manifest = read_manifest(folder)
    refuse_altered(folder, manifest, but=GRAPH_NAME)
    units, dropout = _head(folder, manifest)
    pixels = read_images(images, manifest.input, manifest.preprocessing)
    weights = Path(weights_or_engine) if is_weights else folder
    network = load_network(weights, units, dropout, manifest.input.height)
    variant = export_graph(network, folder, pixels)
    others = tuple(v for v in manifest.variants if v.precision != variant.precision)
    kept = others if _is_as_before(folder, manifest, variant) else ()
    removed = tuple(other for other in others if other not in kept)
    for other in removed:
        (folder / other.file).unlink(missing_ok=True)
    # What the old graph said of the known pictures says nothing about the new one.
    unproven = replace(manifest, variants=(variant, *kept), sentinels=Sentinels())
    write_manifest(folder, unproven)
    return Reexported(folder, record_sentinels(folder), removed)


def _head(folder: Path, manifest: Manifest) -> tuple[int, float]:
    """Give the hidden units and the dropout of the head."""
    head = manifest.training
    if not {"hidden_units", "dropout"} <= head.keys():
        raise EngineError(
            f"{folder}/engine.json does not say how large the head is: its 'training' has "
            f"{', '.join(head) or 'no fields'}, wanted hidden_units and dropout.\n"
            "Next: hambatch train --data split.csv --out engines/NAME"
        )
    return int(head["hidden_units"]), float(head["dropout"])


def _is_as_before(folder: Path, manifest: Manifest, variant: Variant) -> bool:
    before = manifest.files.get(variant.file)
    return before is not None and before.sha256 == sha256_of_file(folder / variant.file)


def refuse_altered(folder: Path, manifest: Manifest, but: str) -> None:
    """Every file is hashed anew later: none but the graph to be written may have changed."""
    for name, wanted in manifest.files.items():
        path = folder / name
        if name == but or not path.is_file():
            continue
        found = sha256_of_file(path)
        if found != wanted.sha256:
            raise EngineError(
                f"{path} is not the file that the engine was made with: "
                f"sha256 {found}, wanted {wanted.sha256}.\n"
                "Next: restore it, or train the engine again"
            )
