"""`hambatch export --int8`: an engine gets its INT8 graph."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.loading import find_engine, write_manifest
from hambatch.engines.manifest import InputSpec, Manifest, Preprocessing, Variant, read_manifest
from hambatch.engines.precision import FP32, INT8
from hambatch.errors import EngineError, InputError
from hambatch.pipelines.decode import decode
from hambatch.score.sentinels.recording import record_sentinels
from hambatch.system.files import replacing, sha256_of_file
from hambatch.system.packages import library_versions
from hambatch.training.dataset import Dataset, read_dataset
from hambatch.training.export.export import refuse_altered
from hambatch.training.export.int8.quantise import quantise
from hambatch.training.export.int8.running import logits_of
from hambatch.training.options import Int8Options


def calibration_images(
    dataset: Dataset, count: int, seed: int, spec: InputSpec, how: Preprocessing
) -> NDArray[np.uint8]:
    """Decode ``count`` training images, chosen at random, as scoring decodes them.

    Returns
    -------
    NDArray
        uint8 RGB ``[count, height, width, 3]``, in the order of the table.

    Raises
    ------
    InputError
        If there are fewer, or one is missing, altered since the split, or cannot be decoded.
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
    for path, wanted in zip(paths, chosen["sha256"], strict=True):
        _refuse_altered(path, wanted)
    return decode(paths, spec, how)


def _refuse_altered(path: Path, wanted: str) -> None:
    following = "Next: restore the images, or run hambatch prepare again"
    try:
        found = sha256_of_file(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.\n{following}") from error
    if found != wanted:
        raise InputError(
            f"{path} is not the file that was split: sha256 {found}, wanted {wanted}.\n{following}"
        )


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
