"""`hambatch export --int8`: an engine gets its INT8 graph."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.atomic import replacing
from hambatch.config import Int8Options
from hambatch.engines.choice import FP32, INT8
from hambatch.engines.manifest import Manifest, Variant, read_manifest
from hambatch.engines.store import find_engine
from hambatch.engines.writing import write_manifest
from hambatch.errors import EngineError
from hambatch.export.int8.calibration import calibration_images
from hambatch.export.int8.quantise import quantise
from hambatch.export.int8.running import logits_of
from hambatch.export.reexport import refuse_altered
from hambatch.sentinel_recording import record_sentinels
from hambatch.training.dataset import read_dataset
from hambatch.versions import library_versions

INT8_NAME = "model.int8.onnx"


def export_int8(
    engine: str, split: Path, options: Int8Options, say: Callable[[str], None]
) -> tuple[Path, Variant]:
    """Write ``model.int8.onnx``, then ``engine.json`` with its hash, parity and known pictures.

    The other graphs stay. What it costs is for ``hambatch engines verify --gate`` to
    measure. A run that dies between the two files leaves an engine that loading refuses
    and that the same command repairs.

    Returns
    -------
    tuple
        The engine's folder, and the new variant.

    Raises
    ------
    EngineError
        If a file is not the one that ``engine.json`` names, or the graph is not one
        that this can quantise.
    InputError
        If the split table or an image of it cannot be used.
    """
    folder = find_engine(engine)
    manifest = read_manifest(folder)
    refuse_altered(folder, manifest, but=INT8_NAME)
    content, fp32_sha256 = _fp32_graph(folder, manifest)
    dataset = read_dataset(split)
    images = calibration_images(
        dataset, options.calibration_images, options.seed, manifest.input, manifest.preprocessing
    )
    made = quantise(content, images, options, say)
    parity = {
        **compared(logits_of(content, images), logits_of(made, images)),
        "fp32_sha256": fp32_sha256,
        "split_sha256": dataset.split_sha256,
        "options": asdict(options),
        "versions": library_versions(),
    }
    variant = Variant(INT8, INT8_NAME, parity)
    _write(folder, manifest, variant, made)
    return folder, variant


def _fp32_graph(folder: Path, manifest: Manifest) -> tuple[bytes, str]:
    """Read the graph, checked by now, and name its hash."""
    name = manifest.variant(FP32).file
    if not (folder / name).is_file():
        raise EngineError(
            f"{folder / name} is missing, the int8 graph is made from it.\n"
            f"Next: hambatch export {folder} --images DIR, or restore it"
        )
    return (folder / name).read_bytes(), manifest.files[name].sha256


def compared(fp32: NDArray[np.float32], int8: NDArray[np.float32]) -> dict[str, Any]:
    """Say how far logits ``[n, 7]`` are apart, on the images that the graph was made with."""
    difference = int8.astype(np.float64) - fp32
    return {
        "images": len(fp32),
        "logit_rms_error": float(np.sqrt((difference**2).mean())),
        "label_flips": int((fp32.argmax(axis=1) != int8.argmax(axis=1)).sum()),
    }


def _write(folder: Path, manifest: Manifest, variant: Variant, content: bytes) -> None:
    with replacing(folder / INT8_NAME) as temporary:
        temporary.write_bytes(content)
    others = tuple(v for v in manifest.variants if v.precision != INT8)
    # What an older INT8 graph said of the known pictures says nothing about this one.
    known = tuple(r for r in manifest.sentinels.also if r.precision != INT8)
    sentinels = replace(manifest.sentinels, also=known)
    write_manifest(folder, replace(manifest, variants=(*others, variant), sentinels=sentinels))
    record_sentinels(folder, same_fp32=True)
