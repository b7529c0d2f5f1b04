"""Would decoding large JPEGs at a reduced scale be faster, and would the scores stay the same?

libjpeg can leave out the high frequencies of every block and decode at 1/2, 1/4 or 1/8 of
the size (Pillow: `Image.draft`). DALI's CPU decoder has no option for it: what it does
offer, `use_fast_idct` and regions of interest, is measured and named beside it; a region
leaves picture out, which the engine's preprocessing (all of it, stretched) does not allow.

Every way decodes the same files with a thread a core and then resizes as the engine does
(DALI, linear, no antialias); the default engine scores what comes out. Label flips and
differences of probability are against the full decode by DALI. A way is allowed by the
gate if at most 2 % of the labels flip::

    python benchmarks/large_inputs.py --images DIR --out result.json

`native` leaves the files as they are; other sizes are resized, JPEG quality 90. Pictures
that were enlarged hold no detail that a small one lacks, so their flips are a lower bound.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from picture_folders import described, pictures, resized
from PIL import Image
from result import parser_of, publish

from hambatch.backends import load_backend
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.probabilities import softmax
from hambatch.system.cpu import available_cores
from hambatch.types import Batch

MOST_FLIPS = 0.02
BATCH = 8
NATIVE = "native"
SIZES = (NATIVE, "1600x1200", "4000x3000")
SCALES = (1, 2, 4, 8)

Pixels = NDArray[np.uint8]
Way = Callable[[list[Path], int], Iterator[Pixels]]
"""Files and a number of threads to batches of ``[n, 224, 224, 3]``."""


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: drawn ones")
    parser.add_argument("--count", type=int, default=200, help="images of every size")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), metavar="WIDTHxHEIGHT")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    chosen = parser.parse_args()
    engine = load_engine(find_engine(chosen.engine))
    with tempfile.TemporaryDirectory(prefix="hambatch-large-") as place:
        found = pictures(chosen.images, Path(place) / "drawn", chosen.count)
        sizes = {
            size: of_size(found, size, Path(place) / size, engine, chosen.repeats)
            for size in chosen.sizes
        }
    result = {
        "question": "is decoding at a reduced scale faster, and are the scores the same?",
        "gate": f"at most {MOST_FLIPS:.0%} of the labels flip",
        "batch_size": BATCH,
        "dali_decoder_options": dali_options(),
        "sizes": sizes,
        "engine_json_sha256": engine.manifest_sha256,
    }
    publish(chosen.out, result, sizes)


def of_size(
    found: list[Path], size: str, place: Path, engine: Engine, repeats: int
) -> dict[str, Any]:
    """Let the ways take turns on one size of image, and compare what they score."""
    if size != NATIVE:
        width, height = (int(side) for side in size.split("x"))
        found = resized(found, place, width, height)
    cores = available_cores()
    rates: dict[str, list[float]] = {name: [] for name in WAYS}
    pixels: dict[str, Pixels] = {}
    for repeat in range(repeats + 1):
        for name, way in WAYS.items():
            started = time.perf_counter()
            pixels[name] = np.concatenate(list(way(found, cores)))[: len(found)]
            if repeat:
                rates[name].append(len(found) / (time.perf_counter() - started))
    reference = probabilities(pixels["dali"], engine)
    return {
        **described(found),
        "ways": {
            name: {
                **rated(rates[name], rates["dali"]),
                **compared(probabilities(pixels[name], engine), reference),
            }
            for name in WAYS
        },
    }


def rated(rates: list[float], full: list[float]) -> dict[str, Any]:
    """Images/s of decoding and resizing, and how many times the full decode by DALI."""
    times = [rate / of for rate, of in zip(rates, full, strict=True)]
    return {
        "decode_images_per_s": round(statistics.median(rates), 2),
        "times_dali": round(statistics.median(times), 3),
        "repeats": rates,
    }


def compared(found: NDArray[np.float64], reference: NDArray[np.float64]) -> dict[str, Any]:
    """Label flips and differences of probability."""
    flips = int((found.argmax(1) != reference.argmax(1)).sum())
    apart = np.abs(found - reference).max(1)
    return {
        "label_flips": flips,
        "flipped": round(flips / len(found), 4),
        "probability_difference_median": round(float(np.median(apart)), 6),
        "probability_difference_max": round(float(apart.max()), 6),
        "allowed": flips / len(found) <= MOST_FLIPS,
    }


def probabilities(pixels: Pixels, engine: Engine) -> NDArray[np.float64]:
    """Score ready pixels by the engine, in FP32."""
    backend = load_backend("openvino", engine, "fp32", available_cores())
    count = len(pixels)
    batch = Batch(np.arange(count), pixels, ["dali-cpu"] * count, [""] * count)
    (scored,) = backend.predict([batch])
    backend.close()
    return softmax(scored.logits)


def by_dali(files: list[Path], threads: int, *, region: bool, **options: Any) -> Iterator[Pixels]:
    """Read, decode and resize in DALI, all of a picture or the middle half of each side."""
    from nvidia.dali import fn, types

    def graph() -> Any:
        encoded, _ = fn.readers.file(files=[str(path) for path in files], pad_last_batch=True)
        if not region:
            return fn.decoders.image(encoded, output_type=types.RGB, **options)
        middle = {"rel_start": (0.25, 0.25), "rel_shape": (0.5, 0.5), "axis_names": "HW"}
        return fn.decoders.image_slice(encoded, output_type=types.RGB, **middle)

    yield from dali_batches(graph, len(files), threads)


def by_pillow(files: list[Path], threads: int, *, scale: int) -> Iterator[Pixels]:
    """Decode with Pillow in threads at 1/scale, resize in DALI."""
    from nvidia.dali import fn

    groups = [files[start : start + BATCH] for start in range(0, len(files), BATCH)]

    def graph() -> Any:
        return fn.external_source(source=arrays(), ndim=3, layout="HWC", batch=True)

    def arrays() -> Iterator[list[Pixels]]:
        with ThreadPoolExecutor(threads) as pool:
            for group in groups:
                yield list(pool.map(partial(drafted, scale=scale), group))
        while True:
            # DALI fetches ahead of what is taken.
            yield [np.zeros((1, 1, 3), np.uint8)]

    yield from dali_batches(graph, len(files), threads)


def drafted(path: Path, scale: int) -> Pixels:
    """Decode one JPEG at 1/scale, or at the largest reduction that keeps 224 pixels a side."""
    with Image.open(path) as image:
        # Pillow reduces by the power of two that leaves at least the size given.
        least = max(image.width // scale, 224), max(image.height // scale, 224)
        if scale > 1:
            image.draft("RGB", least)
        return np.asarray(image.convert("RGB"))


def dali_batches(graph: Callable[[], Any], count: int, threads: int) -> Iterator[Pixels]:
    """Resize as the engine does, whatever decoded."""
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(batch_size=BATCH, num_threads=threads, device_id=None)
    def whole() -> Any:
        return fn.resize(
            graph(),
            size=[224, 224],
            interp_type=types.INTERP_LINEAR,
            antialias=False,
            dtype=types.UINT8,
        )

    pipeline = whole()
    pipeline.build()
    for _ in range(-(-count // BATCH)):
        (images,) = pipeline.run()
        yield np.array(images.as_array())


def dali_options() -> list[str]:
    """List the arguments of DALI's decoder: there is no scale among them."""
    from nvidia.dali import backend

    return sorted(backend.GetSchema("decoders__Image").GetArgumentNames())


WAYS: dict[str, Way] = {
    "dali": partial(by_dali, region=False),
    "dali_fast_idct": partial(by_dali, region=False, use_fast_idct=True),
    "dali_middle_region": partial(by_dali, region=True),
    **{f"pillow_scale_{scale}": partial(by_pillow, scale=scale) for scale in SCALES},
}


if __name__ == "__main__":
    main()
