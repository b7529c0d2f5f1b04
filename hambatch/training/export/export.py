"""`hambatch export`: an engine's ONNX graph made from its Keras weights, and checked."""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.keras_network import SUFFIX, Architecture, load_network, preprocess
from hambatch.backends.openvino_graph import BATCH_SIZE, openvino_probabilities
from hambatch.engines.backend_names import FP32
from hambatch.engines.loading import find_engine, write_manifest
from hambatch.engines.manifest import InputSpec, Manifest, Preprocessing, Variant, read_manifest
from hambatch.engines.measurements import Gate
from hambatch.engines.probabilities import compare, softmax
from hambatch.engines.sentinels import Sentinels
from hambatch.errors import EngineError, InputError
from hambatch.pipelines.decode import decode
from hambatch.scoring.sentinels.recording import record_sentinels
from hambatch.sources.content import SUFFIXES
from hambatch.sources.folder import Survey, find_images
from hambatch.system.files import sha256_of_file, write_bytes
from hambatch.system.packages import library_versions
from hambatch.system.schema import convert
from hambatch.training.add_figures import renew_card
from hambatch.training.export.keras_to_onnx import to_onnx
from hambatch.training.export.onnx_graph import store_weights_as_fp16

GRAPH_NAME = "model.onnx"

MIN_IMAGES, MAX_IMAGES = 8, 64

FP32_LIMIT, FP16_STORED_LIMIT = 1e-4, 2e-3
"""The largest difference of any probability; no label may change."""


class Reexported(NamedTuple):
    """The engine's folder, its manifest as written, and the graphs taken out of it."""

    folder: Path
    manifest: Manifest
    removed: tuple[Variant, ...]


def reexport(weights_or_engine: str, images: Path) -> Reexported:
    """Export ``model.onnx`` again; of ``engine.json`` only its hash, parity and sentinels change.

    If it is another graph now, the INT8 graph made from the old one goes, with the gates of both.
    A run that dies between the two files leaves an engine that loading refuses
    and that the same command repairs. Raises EngineError if the weights are missing, a file is not
    the one that ``engine.json`` names, or the graph is too far from Keras.

    Parameters
    ----------
    weights_or_engine
        An engine's name or folder, or the ``.weights.h5`` file inside one.
    images
        Folder of at least 8 images to compare the graph with Keras on.
    """
    is_weights = weights_or_engine.endswith(SUFFIX)
    folder = find_engine(str(Path(weights_or_engine).parent) if is_weights else weights_or_engine)
    manifest = read_manifest(folder)
    refuse_altered(folder, manifest, but=GRAPH_NAME)
    of_network = _architecture(folder, manifest)
    pixels = read_images(images, manifest.input, manifest.preprocessing)
    weights = Path(weights_or_engine) if is_weights else folder
    network = load_network(
        weights,
        of_network.hidden_units,
        of_network.dropout,
        manifest.input.height,
        of_network.stride_in,
    )
    variant = export_graph(network, folder, pixels)
    others = tuple(v for v in manifest.variants if v.precision != variant.precision)
    before = manifest.files.get(GRAPH_NAME)
    is_new = before is None or before.sha256 != sha256_of_file(folder / GRAPH_NAME)
    if not is_new:
        variant = replace(variant, gates=_gates_of(manifest))
    removed = others if is_new else ()
    for other in removed:
        (folder / other.file).unlink(missing_ok=True)
    # The old graph's scores of the sentinels are no reference for the new graph.
    kept = () if is_new else others
    unproven = replace(manifest, variants=(variant, *kept), sentinels=Sentinels())
    write_manifest(folder, unproven)
    record_sentinels(folder)
    return Reexported(folder, renew_card(folder), removed)


def _gates_of(manifest: Manifest) -> tuple[Gate, ...]:
    """Give the gates of the FP32 graph, which hold for as long as it is the same."""
    return next((v.gates for v in manifest.variants if v.precision == FP32), ())


def refuse_altered(folder: Path, manifest: Manifest, but: str) -> None:
    """Raise EngineError if a file, ``but`` the graph to be written, is not the manifest's.

    Every file is hashed anew later. A missing one is left to who needs it.
    """
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


def _architecture(folder: Path, manifest: Manifest) -> Architecture:
    try:
        return convert(manifest.training, Architecture)
    except ValueError as error:
        raise EngineError(
            f"{folder}/engine.json does not say what network it is: its 'training': {error}.\n"
            "Next: hambatch train --data split.csv --out engines/NAME"
        ) from error


def read_images(folder: Path, spec: InputSpec, how: Preprocessing) -> NDArray[np.uint8]:
    """Decode the first 64 images below ``folder``, in sorted order, as scoring decodes them.

    Returns uint8 RGB ``[n, height, width, 3]``. Raises InputError if there are fewer than 8
    images, or one cannot be decoded.
    """
    listed = (folder / name for name in find_images(folder, Survey()))
    paths = sorted(path for path in listed if path.suffix.lower() in SUFFIXES)
    if len(paths) < MIN_IMAGES:
        raise InputError(
            f"{folder} holds {len(paths)} JPEG or PNG images, wanted at least {MIN_IMAGES}.\n"
            "Next: name a folder with more images, or make some: hambatch samples DIR"
        )
    return decode(paths[:MAX_IMAGES], spec, how)


def export_graph(network: Any, folder: Path, images: NDArray[np.uint8]) -> Variant:
    """Write ``model.onnx`` into ``folder``, once it computes what Keras computes.

    Raises EngineError if a difference is over its limit; an older ``model.onnx`` then stays.

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
    """
    expected = keras_probabilities(network, images)

    def checked(content: bytes, limit: float, graph: str) -> dict[str, Any]:
        measured = compare(expected, openvino_probabilities(content, images))
        refuse_beyond(limit, measured, graph)
        del measured["images"]
        return measured

    model = to_onnx(network)
    fp32 = checked(model.SerializeToString(), FP32_LIMIT, "FP32")
    content = store_weights_as_fp16(model).SerializeToString(deterministic=True)
    stored = checked(content, FP16_STORED_LIMIT, "FP16-stored")
    write_bytes(folder / GRAPH_NAME, content)
    parity = {
        "images": len(images),
        "fp32": fp32,
        "fp16_stored": stored,
        "versions": library_versions(),
    }
    return Variant(FP32, GRAPH_NAME, parity)


def keras_probabilities(network: Any, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Softmax of the reference: float64 ``[n, 7]``.

    Raises EngineError if there are fewer than 8 images: too few to call two models equal.
    """
    if len(images) < MIN_IMAGES:
        raise EngineError(
            f"the export is checked on real images: {len(images)} given, "
            f"wanted at least {MIN_IMAGES}.\nNext: name a folder with more images"
        )
    parts = [
        np.asarray(
            network(preprocess(images[start : start + BATCH_SIZE]), training=False)["logits"]
        )
        for start in range(0, len(images), BATCH_SIZE)
    ]
    return softmax(np.concatenate(parts))


def refuse_beyond(limit: float, measured: dict[str, Any], graph: str) -> None:
    """Raise EngineError if a label changed, or a difference is over the limit or not a number."""
    if measured["max_difference"] <= limit and not measured["label_flips"]:
        return
    raise EngineError(
        f"the {graph} graph does not compute what Keras computes: on {measured['images']} images "
        f"probabilities differ by up to {measured['max_difference']:.2e} "
        f"(wanted {limit:.0e}) and {measured['label_flips']} labels change (wanted 0).\n"
        "Next: pip install 'hambatch[train]' for the versions that the export was tested with, "
        "then export again"
    )
