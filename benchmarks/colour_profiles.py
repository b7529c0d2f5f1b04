"""What do predictions change by if a picture comes in another colour space, with its profile?

Every image is converted to Display P3 and to Adobe RGB by arithmetic, stored as JPEG of quality 95
with the profile (applied) and without it (which is what ignoring it gives), and scored; so is the
sRGB picture, stored anew in the same way. All are compared with the image as it is::

    python benchmarks/colour_profiles.py --images DIR --out result.json

Needs the checkout's tests.
"""

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from result import parser_of, publish

from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from hambatch.sinks.formats import read_rows
from hambatch.types import Row
from tests.faults.corpus import found_jpegs
from tests.pipelines.odd import as_jpeg
from tests.pipelines.profiles import in_colours_of, profile

SPACES = ("Display P3", "Adobe RGB")


def main() -> None:
    """Convert, score, compare and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder of JPEGs in sRGB")
    parser.add_argument("--count", type=int, default=60, help="images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", default=ScoreOptions.engine)
    chosen = parser.parse_args()
    images = found_jpegs(chosen.images, chosen.count, chosen.seed)
    with tempfile.TemporaryDirectory() as place:
        changed = measure(images, Path(place), chosen.engine)
    about = {"question": "what does a colour profile change?", "images": len(images)}
    publish(chosen.out, {**about, "seed": chosen.seed, "changed": changed}, changed)


def measure(images: list[bytes], place: Path, engine: str) -> dict[str, dict[str, Any]]:
    """Give what differs from the images as they are, by how they are stored."""
    wanted = scored(images, place / "as they are", engine)
    pictures = [Image.open(io.BytesIO(content)).convert("RGB") for content in images]
    kinds = {"sRGB, stored anew": [as_jpeg(picture) for picture in pictures]}
    for space in SPACES:
        converted = [in_colours_of(picture, space) for picture in pictures]
        kinds[f"{space}, ignored"] = [as_jpeg(picture) for picture in converted]
        kinds[f"{space}, applied"] = [
            as_jpeg(picture, icc_profile=profile(space)) for picture in converted
        ]
    return {
        name: compared(wanted, scored(contents, place / name, engine))
        for name, contents in kinds.items()
    }


def scored(contents: list[bytes], folder: Path, engine: str) -> list[Row]:
    """Score files in FP32 on the CPU; every one has to be scored."""
    folder.mkdir()
    for number, content in enumerate(contents):
        (folder / f"{number:03d}.jpg").write_bytes(content)
    out = folder.with_suffix(".csv")
    options = ScoreOptions.on_cpu(engine=engine, precision="fp32")
    outcome = score([folder], out, "csv", options)
    if outcome.tally.failed:
        raise SystemExit(f"{outcome.tally.failed} images failed: {outcome.tally.reasons}")
    return list(read_rows(out, "csv"))


def compared(wanted: list[Row], found: list[Row]) -> dict[str, Any]:
    """Count the labels that differ, and measure by how much the malignant probability does."""
    pairs = list(zip(wanted, found, strict=True))
    moved = np.array([abs(one.malignant - other.malignant) for one, other in pairs])
    return {
        "labels_changed": sum(one.prediction != other.prediction for one, other in pairs),
        "p_malignant_largest": round(float(moved.max()), 4),
        "p_malignant_mean": round(float(moved.mean()), 4),
        "decoders": sorted({row.decoder for row in found}),
    }


if __name__ == "__main__":
    main()
