"""`hambatch export`: an engine's ONNX graph made from its Keras weights, and checked."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.keras_network import SUFFIX, load_network
from hambatch.backends.openvino_graph import openvino_probabilities
from hambatch.engines.loading import find_engine, write_manifest
from hambatch.engines.manifest import Manifest, Variant, read_manifest
from hambatch.engines.probabilities import compare
from hambatch.engines.sentinels import Sentinels
from hambatch.errors import EngineError
from hambatch.score.sentinels.recording import record_sentinels
from hambatch.system.files import replacing, sha256_of_file
from hambatch.system.packages import library_versions
from hambatch.training.export.keras_to_onnx import store_weights_as_fp16, to_onnx
from hambatch.training.export.parity import (
    FP16_STORED_LIMITS,
    FP32_LIMITS,
    Limits,
    keras_probabilities,
    read_images,
    refuse_beyond,
)

GRAPH_NAME = "model.onnx"


PRECISION = "fp32"


def export_graph(network: Any, folder: Path, images: NDArray[np.uint8]) -> Variant:
    """Write ``model.onnx`` into ``folder``, once it computes what Keras computes.

    Parameters
    ----------
    network
        The Keras network of :func:`hambatch.backends.keras_network.join`.
    images
        uint8 RGB ``[n, side, side, 3]``, n >= 8, real ones: what the graph is
        compared on, before and after its weights are stored as FP16.

    Returns
    -------
    Variant
        With ``parity``: ``images``; ``fp32`` and ``fp16_stored``, each with
        ``max_difference``, ``mean_difference`` and ``label_flips``;
        ``versions`` of the libraries that were compared.

    Raises
    ------
    EngineError
        If a difference is over its limit; an older ``model.onnx`` then stays.
    """
    expected = keras_probabilities(network, images)
    model = to_onnx(network)
    fp32 = _checked(model.SerializeToString(), expected, images, FP32_LIMITS, "FP32")
    content = store_weights_as_fp16(model).SerializeToString(deterministic=True)
    stored = _checked(content, expected, images, FP16_STORED_LIMITS, "FP16-stored")
    with replacing(folder / GRAPH_NAME) as temporary:
        temporary.write_bytes(content)
    parity = {
        "images": len(images),
        "fp32": fp32,
        "fp16_stored": stored,
        "versions": library_versions(),
    }
    return Variant(PRECISION, GRAPH_NAME, parity)


def _checked(
    content: bytes,
    expected: NDArray[np.float64],
    images: NDArray[np.uint8],
    limits: Limits,
    graph: str,
) -> dict[str, Any]:
    measured = compare(expected, openvino_probabilities(content, images))
    refuse_beyond(limits, measured, graph)
    del measured["images"]
    return measured


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
