"""`hambatch export --int8`: an engine gets its INT8 graph."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.backend_names import FP32, INT8, graph_precision
from hambatch.engines.loading import find_engine, write_manifest
from hambatch.engines.manifest import InputSpec, Manifest, Preprocessing, Variant, read_manifest
from hambatch.errors import EngineError, InputError
from hambatch.pipelines.decode import decode
from hambatch.scoring.sentinels.recording import record_sentinels
from hambatch.system.files import write_bytes
from hambatch.system.packages import library_versions
from hambatch.training.add_figures import renew_card
from hambatch.training.dataset import Dataset, read_dataset, read_split_file
from hambatch.training.export.export import refuse_altered
from hambatch.training.export.int8.convolutions import insert
from hambatch.training.export.int8.equalisation import channel_maxima, equalise
from hambatch.training.export.int8.fitting import Int8Convolution
from hambatch.training.export.int8.layerwise import Report, walk
from hambatch.training.export.int8.running import logits_of
from hambatch.training.export.onnx_graph import (
    copy_of,
    onnx_module,
    store_weights_as_fp16,
    with_fp32_weights,
)
from hambatch.training.options import Int8Options

INT8_NAME = "model.int8.onnx"

COMPARED_ON = 256
"""Images on which the costliest convolutions are found."""

Fitted = Mapping[str, Int8Convolution]
"""By the name of a convolution's output."""


def export_int8(
    engine: str, split: Path, options: Int8Options, report: Report
) -> tuple[Path, Variant]:
    """Write ``model.int8.onnx``, then ``engine.json`` with its hash, parity and sentinels.

    The other graphs stay. What it costs is for ``hambatch engines verify --gate`` to
    measure. A run that dies between the two files leaves an engine that loading refuses
    and that the same command repairs.

    Returns the engine's folder and the new variant. Raises EngineError if a file is not the one
    that ``engine.json`` names, or the graph is not one that this can quantise; InputError if the
    split table or an image of it cannot be used.
    """
    folder = find_engine(engine)
    manifest = read_manifest(folder)
    refuse_altered(folder, manifest, but=INT8_NAME)
    fp32 = folder / manifest.variant(FP32).file
    if not fp32.is_file():
        raise EngineError(
            f"{fp32} is missing, the int8 graph is made from it.\n"
            f"Next: hambatch export {folder} --images DIR, or restore it"
        )
    content, dataset = fp32.read_bytes(), read_dataset(split)
    images = calibration_images(
        dataset, options.calibration_images, options.seed, manifest.input, manifest.preprocessing
    )
    int8 = quantise(content, images, options, report)
    parity = {
        **_compared(logits_of(content, images), logits_of(int8, images)),
        "fp32_sha256": manifest.files[fp32.name].sha256,
        "split_sha256": dataset.split_sha256,
        "options": asdict(options),
        "versions": library_versions(),
    }
    variant = Variant(INT8, INT8_NAME, parity)
    _write(folder, manifest, variant, int8)
    return folder, variant


def calibration_images(
    dataset: Dataset, count: int, seed: int, spec: InputSpec, how: Preprocessing
) -> NDArray[np.uint8]:
    """Decode ``count`` training images, chosen at random, as scoring decodes them.

    Returns uint8 RGB ``[count, height, width, 3]``, in the order of the table. Raises InputError if
    there are fewer, or one is missing, altered since the split, or cannot be decoded.
    """
    training = dataset.part("train")
    if len(training) < count:
        raise InputError(
            f"the split table has {len(training)} training images, wanted {count}.\n"
            f"Next: --calibration-images {len(training)}, or a larger table"
        )
    rows = np.sort(np.random.default_rng(seed).choice(len(training), count, replace=False))
    chosen = training.iloc[rows]
    paths = [dataset.root / name for name in chosen["file"]]
    for path, sha256 in zip(paths, chosen["sha256"], strict=True):
        read_split_file(path, sha256)  # refuses another file
    return decode(paths, spec, how)


def quantise(
    content: bytes, images: NDArray[np.uint8], options: Int8Options, report: Report
) -> bytes:
    """Make the INT8 graph of an FP32 one.

    The same arguments and library versions give the same bytes.

    Parameters
    ----------
    content
        A serialized ONNX model, its weights FP32 or stored as FP16.
    images
        uint8 RGB ``[n, height, width, 3]``: representative ones.

    Returns
    -------
    bytes
        A serialized ONNX model: weights of quantised convolutions INT8, other large ones FP16.
    """
    model = with_fp32_weights(onnx_module().ModelProto.FromString(content))
    equalise(model.graph, channel_maxima(model, images), options.equalise)
    fitted = walk(model.graph, images, options, report)
    kept, restored = without_costliest(model, fitted, images, options.restore_fp32)
    for name in restored:
        report(f"{name} goes back to fp32")
    return serialized(inserted(model, kept))


def without_costliest(
    model: Any, fitted: Fitted, images: NDArray[np.uint8], count: int
) -> tuple[Fitted, list[str]]:
    """Leave out the ``count`` convolutions that each, alone in FP32, bring the logits nearest.

    Parameters
    ----------
    model
        The FP32 graph as it was fitted; it stays as it is.
    images
        uint8 RGB ``[n, height, width, 3]``; up to 256 of them, evenly spread, are scored
        once for every convolution.

    Returns what is left, and the names of what is not, the costliest first.
    """
    if not count:
        return fitted, []
    some = images[np.linspace(0, len(images) - 1, min(COMPARED_ON, len(images))).astype(int)]
    wanted = logits_of(model.SerializeToString(), some)
    errors = {}
    for name in fitted:
        found = logits_of(inserted(model, _without(fitted, [name])).SerializeToString(), some)
        errors[name] = float(((found - wanted) ** 2).mean())
    costliest = sorted(errors, key=errors.__getitem__)[:count]
    return _without(fitted, costliest), costliest


def _without(fitted: Fitted, names: list[str]) -> Fitted:
    return {name: each for name, each in fitted.items() if name not in names}


def inserted(model: Any, fitted: Fitted) -> Any:
    """Make a copy of the graph in which these convolutions are INT8."""
    copy = copy_of(model)
    insert(copy.graph, fitted)
    return copy


def serialized(model: Any) -> bytes:
    """Store large FP32 weights as FP16, check the graph, and make bytes of it."""
    content: bytes = store_weights_as_fp16(model).SerializeToString(deterministic=True)
    return content


def _compared(fp32: NDArray[np.float32], int8: NDArray[np.float32]) -> dict[str, Any]:
    """Say how far logits ``[n, 7]`` are apart, on the images that the graph was made with."""
    difference = int8.astype(np.float64) - fp32
    return {
        "images": len(fp32),
        "logit_rms_error": float(np.sqrt((difference**2).mean())),
        "label_flips": int((fp32.argmax(axis=1) != int8.argmax(axis=1)).sum()),
    }


def _write(folder: Path, manifest: Manifest, variant: Variant, content: bytes) -> None:
    write_bytes(folder / INT8_NAME, content)
    others = tuple(v for v in manifest.variants if v.precision != INT8)
    # An older INT8 graph's scores of the sentinels are no reference for this one.
    also = manifest.sentinels.also
    known = tuple(one for one in also if graph_precision(one.precision) != INT8)
    sentinels = replace(manifest.sentinels, also=known)
    write_manifest(folder, replace(manifest, variants=(*others, variant), sentinels=sentinels))
    record_sentinels(folder, same_fp32=True)
    renew_card(folder)
