"""How close does `hambatch score` come to what the cores allow?

Four things take turns on the same files and cores, so that a noisy machine is
noisy for all of them:

decode     the DALI scoring pipeline alone, on all cores
inference  OpenVINO alone, on arrays that are ready
score      the whole run, from the first group sent to the last row received, with its
           known pictures, which count as cost and not as images
keras      `model.predict` over a `tf.data` pipeline of the same folder

Where decoding and inference share the cores, the ceiling of `score` is
1 / (1/decode + 1/inference). One JSON file holds every repeat::

    python benchmarks/folder_throughput.py --images DIR --out benchmarks/results/NAME.json

Without --images, 600x450 JPEGs are generated.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
from machine import cpu_name
from PIL import Image

from hambatch.atomic import write_json
from hambatch.backends import load_backend
from hambatch.batches import Batch
from hambatch.config import ScoreOptions
from hambatch.cores import available_cores
from hambatch.engines.loading import Engine, load_engine
from hambatch.engines.store import DEFAULT_ENGINE, find_engine
from hambatch.pipelines.scoring import build_pipeline
from hambatch.prediction import job_for, rows_of
from hambatch.sentinels import SentinelWatch
from hambatch.sources.listing import list_images
from hambatch.sources.reading import Item, read_ahead
from hambatch.supervision import SupervisedWorker
from hambatch.synthesis import synthesize
from hambatch.versions import library_versions

OPTIONS = ScoreOptions()


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, help="folder of images; default: generated ones")
    parser.add_argument("--count", type=int, default=400, help="images a repeat")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        root = chosen.images or generate(Path(place) / "images", chosen.count)
        names = list(islice(list_images(root, Path(place) / "listing"), chosen.count))
        result = measure(root, names, chosen.repeats)
    write_json(chosen.out, result)
    print(json.dumps({k: result[k] for k in ("images_per_s", "ceiling", "shares")}, indent=2))


def generate(folder: Path, count: int) -> Path:
    """Write 600x450 JPEGs of quality 95, every one different."""
    folder.mkdir()
    for k in range(count):
        image = Image.fromarray(synthesize(np.random.default_rng(k), 600, 450))
        image.save(folder / f"sample_{k:05d}.jpg", quality=95)
    return folder


def measure(root: Path, names: list[str], repeats: int) -> dict[str, object]:
    """Let the four take turns; the first turn warms up and is dropped."""
    engine = load_engine(find_engine(DEFAULT_ENGINE))
    runs: dict[str, Callable[[], float | None]] = {
        "decode": decode_run(root, names, engine),
        "inference": inference_run(len(names), engine),
        "score": score_run(root, names, engine),
        "keras": keras_run(root, names),
    }
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            seconds = timed(run)
            if repeat:
                rates[name].append(len(names) / seconds)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    ceilings = [
        1 / (1 / d + 1 / i) for d, i in zip(rates["decode"], rates["inference"], strict=True)
    ]
    shares = [s / c for s, c in zip(rates["score"], ceilings, strict=True)]
    gains = [s / k for s, k in zip(rates["score"], rates["keras"], strict=True)]
    return {
        "question": "how close does hambatch score come to the shared-core ceiling, FP32, CPU?",
        "images": len(names),
        "image_bytes_median": statistics.median((root / n).stat().st_size for n in names),
        "repeats": rates,
        "images_per_s": {name: round(value, 2) for name, value in medians.items()},
        "ceiling": round(statistics.median(ceilings), 2),
        "shares": {
            "of_ceiling_median": round(statistics.median(shares), 4),
            "of_ceiling_min_max": [round(min(shares), 4), round(max(shares), 4)],
            "times_keras_median": round(statistics.median(gains), 3),
        },
        "settings": {"cores": available_cores(), "batch_size": OPTIONS.batch_size},
        "engine_json_sha256": engine.manifest_sha256,
        "cpu": cpu_name(),
        "versions": library_versions(),
    }


def timed(run: Callable[[], float | None]) -> float:
    """Seconds of one run; `score` subtracts its own start-up."""
    started = time.perf_counter()
    excluded = run()
    return time.perf_counter() - started - (excluded or 0.0)


def decode_run(root: Path, names: list[str], engine: Engine) -> Callable[[], None]:
    """Read and decode every file, on all cores, and throw the pixels away."""
    manifest, cores = engine.manifest, available_cores()
    size = OPTIONS.batch_size
    groups = [
        [Item(k, root / names[k]) for k in range(start, min(start + size, len(names)))]
        for start in range(0, len(names), size)
    ]

    def run() -> None:
        pipeline = build_pipeline(size, cores, 4, manifest.input, manifest.preprocessing)
        decoded = sum(len(b.indices) for b in pipeline.batches(read_ahead(groups, OPTIONS.readers)))
        assert decoded == len(names)

    return run


def inference_run(count: int, engine: Engine) -> Callable[[], None]:
    """Score as many ready images, loaded once."""
    backend = load_backend("openvino", engine, "fp32", available_cores())
    pixels = np.random.default_rng(0).integers(0, 256, (OPTIONS.batch_size, 224, 224, 3), np.uint8)

    def run() -> None:
        starts = range(0, count, len(pixels))
        sizes = [min(len(pixels), count - start) for start in starts]
        batches = (Batch(np.arange(n), pixels[:n], ["dali-cpu"] * n, [""] * n) for n in sizes)
        assert sum(len(s.logits) for s in backend.predict(batches)) == count

    return run


def score_run(root: Path, names: list[str], engine: Engine) -> Callable[[], float]:
    """The whole run in its worker; returns the seconds of start-up to leave out."""

    def run() -> float:
        started = time.perf_counter()
        with SupervisedWorker(job_for(engine.folder, OPTIONS), 30) as worker:
            worker.wait_ready()
            loaded = time.perf_counter() - started
            with SentinelWatch(engine, OPTIONS.batch_size, OPTIONS.sentinel_every) as watch:
                groups = rows_of(worker, enumerate(names), root, engine.manifest, watch)
                rows = [row for _, group in groups for _, row in group]
            assert [row.status for row in rows] == ["ok"] * len(names)
        return loaded

    return run


def keras_run(root: Path, names: list[str]) -> Callable[[], None]:
    """`model.predict` over `tf.data`: the same network, untrained: weights cost no time."""
    import tensorflow as tf

    from hambatch.training.network import build_base, build_head, join, preprocess

    network = join(build_base(None), build_head(512, 0.5, 0))

    def load(path: object) -> object:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(image, (224, 224))

    mean = tf.constant([103.939, 116.779, 123.68])
    probe = np.full((1, 1, 1, 3), 7.0, np.float32)
    assert np.allclose(preprocess(probe), probe[..., ::-1] - mean)

    def run() -> None:
        files = tf.data.Dataset.from_tensor_slices([str(root / name) for name in names])
        images = files.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(32)
        ready = images.map(lambda x: x[..., ::-1] - mean).prefetch(tf.data.AUTOTUNE)
        assert len(network.predict(ready, verbose=0)["logits"]) == len(names)

    return run


if __name__ == "__main__":
    main()
