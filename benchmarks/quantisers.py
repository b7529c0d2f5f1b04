"""Which quantiser keeps this engine's answers?

Each makes an INT8 graph from the engine's FP32 graph and the same training images; the
engine's own is taken as it is. All are scored by hambatch's backend on validation images::

    python benchmarks/quantisers.py --data split.csv --count 934 --out result.json

fp32                 the reference: flips and logit error are against it
hambatch             the engine's model.int8.onnx
nncf                 nncf.quantize on the ONNX graph, performance preset
nncf_overflow_fix    the same with overflow_fix ENABLE: all weights in 7 bits
onnxruntime_static   quantize_static: a scale a channel, signed and symmetric, min-max,
                     reduced range

Figures of a graph hold for the processor's kernels: without VNNI, products of 8-bit weights
saturate in those that are not overflow-safe. The rate is of one pass over the images, one
single-threaded stream a core; the quantisers are no dependency of hambatch: see
requirements-peers.txt.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from result import parser_of, publish

from hambatch.backends.openvino_cpu import load
from hambatch.engines.backend_names import FP32, INT8
from hambatch.engines.loading import Engine, find_engine, load_engine, write_manifest
from hambatch.engines.manifest import Variant
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.probabilities import softmax
from hambatch.engines.sentinels import Sentinels
from hambatch.errors import InputError
from hambatch.evaluation.measures import evaluate
from hambatch.pipelines.decode import decode
from hambatch.system.cpu import available_cores, int8_kernels
from hambatch.system.files import sha256_of_file
from hambatch.training.dataset import Dataset, labels_of, read_dataset
from hambatch.training.export.int8.export import calibration_images
from hambatch.training.export.onnx_graph import with_fp32_weights
from hambatch.types import Batch

BATCH = 32
Pixels = np.ndarray


def main() -> None:
    """Measure, print and write."""
    chosen = parsed()
    engine, dataset = load_engine(find_engine(chosen.engine)), read_dataset(chosen.data)
    how = engine.manifest.input, engine.manifest.preprocessing
    calibration = calibration_images(dataset, chosen.calibration_images, chosen.seed, *how)
    images, truth = validation(dataset, chosen.count, chosen.seed, engine)
    found: dict[str, Any] = {}
    reference = None
    with tempfile.TemporaryDirectory(prefix="hambatch-quantisers-") as place:
        for name, graph, seconds in graphs(chosen.only, engine, calibration, Path(place)):
            logits, rate = scored(graph, FP32 if name == "fp32" else INT8, images)
            reference = logits if reference is None else reference
            found[name] = figures(logits, reference, truth)
            found[name] |= {"images_per_s": round(rate, 2), "made_in_s": round(seconds, 1)}
            print(name, json.dumps(found[name]), flush=True)
    result = {
        "question": "which quantiser keeps this engine's answers?",
        "images": len(images),
        "calibration_images": len(calibration),
        "seed": chosen.seed,
        "quantisers": found,
        "split_sha256": dataset.split_sha256,
        "engine_json_sha256": engine.manifest_sha256,
        "int8_kernels": int8_kernels(),
        "versions": {n: version(n) for n in ("nncf", "onnxruntime")},
    }
    publish(chosen.out, result, {})


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="split table of hambatch prepare")
    parser.add_argument("--count", type=int, default=0, help="validation images; 0: all")
    parser.add_argument("--calibration-images", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    parser.add_argument("--only", nargs="+", choices=MAKERS, default=list(MAKERS))
    return parser.parse_args()


def validation(
    dataset: Dataset, count: int, seed: int, engine: Engine
) -> tuple[Pixels, np.ndarray]:
    """Decode validation images, drawn at random if not all are wanted, and their classes."""
    rows = dataset.part("val")
    if count:
        rows = rows.sample(min(count, len(rows)), random_state=seed).sort_index()
    paths = [dataset.root / name for name in rows["file"]]
    for path, wanted in zip(paths, rows["sha256"], strict=True):
        if sha256_of_file(path) != wanted:
            raise InputError(f"{path} is not the file that was split.\nNext: restore the images")
    manifest = engine.manifest
    return decode(paths, manifest.input, manifest.preprocessing), labels_of(rows["dx"])


def graphs(
    names: list[str], engine: Engine, calibration: Pixels, place: Path
) -> Iterator[tuple[str, Engine, float]]:
    """Yield the FP32 engine, the engine's own INT8 graph if it has one, and each quantiser's."""
    yield "fp32", engine, 0.0
    if any(variant.precision == INT8 for variant in engine.manifest.variants):
        yield "hambatch", engine, 0.0
    source = place / "fp32.onnx"
    save_fp32(engine, source)
    for name in names:
        made = place / f"{name}.onnx"
        start = time.perf_counter()
        MAKERS[name](source, calibration, made)
        seconds = time.perf_counter() - start
        yield name, engine_with(engine, made, place / name), seconds


def save_fp32(engine: Engine, path: Path) -> None:
    """Save the engine's graph with weights in FP32, as the quantisers expect them."""
    import onnx

    model = onnx.load(engine.folder / engine.variant(FP32).file)
    onnx.save(with_fp32_weights(model), path)


def engine_with(engine: Engine, graph: Path, folder: Path) -> Engine:
    """Make an engine of the FP32 graph and another INT8 graph."""
    folder.mkdir()
    fp32 = engine.variant(FP32)
    shutil.copy(engine.folder / fp32.file, folder / fp32.file)
    shutil.copy(graph, folder / "model.int8.onnx")
    variants = replace(fp32), Variant(INT8, "model.int8.onnx")
    manifest = replace(engine.manifest, files={}, variants=variants, sentinels=Sentinels())
    write_manifest(folder, manifest)
    return load_engine(folder)


def nncf_quantiser(fix: bool) -> Callable[[Path, Pixels, Path], None]:
    """Return NNCF's ONNX backend, with the overflow fix that is its default or for all layers."""

    def make(source: Path, calibration: Pixels, out: Path) -> None:
        import nncf
        import onnx
        from nncf.quantization import advanced_parameters as advanced

        overflow = advanced.OverflowFix.ENABLE if fix else None
        made = nncf.quantize(
            onnx.load(source),
            nncf.Dataset(list(calibration), lambda image: {"images": image[None]}),
            preset=nncf.QuantizationPreset.PERFORMANCE,
            subset_size=len(calibration),
            advanced_parameters=advanced.AdvancedQuantizationParameters(overflow_fix=overflow),
        )
        onnx.save(made, out)

    return make


def onnxruntime_static(source: Path, calibration: Pixels, out: Path) -> None:
    """ONNX Runtime's static quantisation."""
    from onnxruntime import quantization

    rows = iter([{"images": image[None]} for image in calibration])

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> Any:
            return next(rows, None)

    quantization.quantize_static(
        str(source),
        str(out),
        Reader(),
        quant_format=quantization.QuantFormat.QDQ,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        calibrate_method=quantization.CalibrationMethod.MinMax,
        extra_options={
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
        },
    )


def scored(engine: Engine, precision: str, images: Pixels) -> tuple[np.ndarray, float]:
    """Score all images as `hambatch score` does: logits and images a second."""
    backend = load(engine, precision, available_cores())
    try:
        list(backend.predict(batches(images[:BATCH])))  # warm-up
        start = time.perf_counter()
        logits = np.concatenate([part.logits for part in backend.predict(batches(images))])
        return logits, len(images) / (time.perf_counter() - start)
    finally:
        backend.close()


def batches(images: Pixels) -> Iterator[Batch]:
    """Cut the images into batches as scoring gets them."""
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        indices = np.arange(start, start + len(part))
        yield Batch(indices, part, ["dali-cpu"] * len(part), [""] * len(part))


def figures(logits: np.ndarray, reference: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Compare with the reference and with the truth."""
    labels = logits.argmax(axis=1)
    flips = labels != reference.argmax(axis=1)
    measured = evaluate(truth, labels, softmax(logits))
    return {
        "label_flips": int(flips.sum()),
        "label_flip_share": float(flips.mean()),
        "balanced_accuracy": measured["balanced_accuracy"],
        "melanoma_sensitivity": measured["classes"]["mel"]["sensitivity"],
        "logit_rms_error": float(np.sqrt(((logits.astype(float) - reference) ** 2).mean())),
    }


MAKERS: dict[str, Callable[[Path, Pixels, Path], None]] = {
    "nncf": nncf_quantiser(fix=False),
    "nncf_overflow_fix": nncf_quantiser(fix=True),
    "onnxruntime_static": onnxruntime_static,
}


if __name__ == "__main__":
    main()
