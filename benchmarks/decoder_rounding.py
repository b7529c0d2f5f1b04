"""How far does a probability move where another decoder gives pixels that are one level off?

Two JPEG decoders may differ: the standard leaves rounding and the upsampling of chroma to them.
With `jpeg_fancy_upsampling` DALI's own test lets GPU and CPU differ by one of 256 levels in the
mean. So every value of every decoded picture is moved by one level, at random up or down, all up,
and all down, before it is resized as always, and one value in ten alone; OpenVINO computes in
FP32::

    python benchmarks/decoder_rounding.py --images DIR --count 500 --out result.json
"""

import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from picture_folders import described, pictures
from PIL import Image
from result import parser_of, publish

from hambatch.backends.openvino_graph import openvino_probabilities
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.probabilities import compare
from hambatch.pipelines.decode import decode

AT_ONCE = 32

Pixels = NDArray[np.int16]

RNG = np.random.default_rng(0)

STEPS = np.array([-1, 0, 1], np.int16)

MOVES: dict[str, Callable[[Pixels], Pixels | int]] = {
    "up or down": lambda pixels: RNG.choice(STEPS[::2], pixels.shape),
    "one in ten up or down": lambda pixels: RNG.choice(STEPS, pixels.shape, p=(0.05, 0.9, 0.05)),
    "up": lambda pixels: 1,
    "down": lambda pixels: -1,
}


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: drawn ones")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    chosen = parser.parse_args()
    engine = load_engine(find_engine(chosen.engine))
    with tempfile.TemporaryDirectory(prefix="hambatch-levels-") as place:
        found = pictures(chosen.images, Path(place) / "drawn", chosen.count)
        about = described(found)
        moved = of(engine, found, Path(place))
    result = {
        "question": "how far does a probability move where pixels are one level off?",
        **about,
        "moved": moved,
        "engine_json_sha256": engine.manifest_sha256,
    }
    publish(chosen.out, result, moved)


def of(engine: Engine, found: list[Path], place: Path) -> dict[str, Any]:
    """Compare each move with the pictures as they are."""
    wanted = probabilities(engine, iter(found))
    return {
        name: compare(wanted, probabilities(engine, moved(found, place, move)))
        for name, move in MOVES.items()
    }


def moved(found: list[Path], place: Path, move: Callable[[Pixels], Pixels | int]) -> Iterator[Path]:
    """Write each picture with other pixels, as a PNG, over that of AT_ONCE before."""
    for k, path in enumerate(found):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB")).astype(np.int16)
        written = place / f"moved_{k % AT_ONCE}.png"
        changed = np.clip(pixels + move(pixels), 0, 255).astype(np.uint8)
        Image.fromarray(changed).save(written, compress_level=1)
        yield written


def probabilities(engine: Engine, paths: Iterator[Path]) -> NDArray[np.float64]:
    """Decode, resize and score, a few at a time: float64 ``[n, 7]``, before any temperature."""
    content = (engine.folder / engine.variant("fp32").file).read_bytes()
    spec, how = engine.manifest.input, engine.manifest.preprocessing
    parts = []
    while some := list(islice(paths, AT_ONCE)):
        parts.append(decode(some, spec, how))
    return openvino_probabilities(content, np.concatenate(parts))


if __name__ == "__main__":
    main()
