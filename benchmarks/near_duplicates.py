"""Does the look-alike check find copies, and does it leave different lesions alone?

Copies of some images are made with Pillow: compressed, scaled, cropped, recoloured, mirrored and
turned. They are compared with their originals; and all images of the dataset with one another,
those of one lesion and those of different ones, by the bits in which their hashes differ and the
correlation of their thumbnails::

    python benchmarks/near_duplicates.py --data split.csv --copies 300 --out result.json

Only what hambatch itself would take for a pair is called found: of whole thumbnails, and of what
an engine keeps of them, packed.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from result import parser_of, publish

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.ham10000.perceptual_hash import (
    LEAST_CORRELATION,
    LEAST_PACKED_CORRELATION,
    MOST_BITS,
    Signatures,
    grey_thumbnails,
    packed,
    signatures_of,
    thumbnails,
    unpacked,
)
from hambatch.pipelines.decode import decode
from hambatch.training.dataset import read_dataset

BITS = (0, 2, 4, 6, 8, 10, 12)
ROWS = 512
TRANSPOSE = Image.Transpose

Change = Callable[[Image.Image], Image.Image]


def scaled(factor: float) -> Change:
    """Make it larger or smaller."""
    lanczos = Image.Resampling.LANCZOS
    return lambda image: image.resize([round(side * factor) for side in image.size], lanczos)


def cropped(share: float) -> Change:
    """Lose ``share`` of each side, half of it at either end."""
    ends = share / 2, 1 - share / 2
    return lambda image: image.crop(
        [round(side * end) for end in ends for side in image.size]  # left, top, right, bottom
    )


def turned(how: TRANSPOSE) -> Change:
    """Mirror or turn it."""
    return lambda image: image.transpose(how)


CHANGES: dict[str, tuple[Change, int]] = {
    "quality 50": (lambda image: image, 50),
    "quality 75": (lambda image: image, 75),
    "quality 85": (lambda image: image, 85),
    "quality 95": (lambda image: image, 95),
    "scale 0.5": (scaled(0.5), 90),
    "scale 0.75, quality 75": (scaled(0.75), 75),
    "scale 2": (scaled(2), 90),
    "square of 224": (lambda image: image.resize((224, 224)), 85),
    "square of 28": (lambda image: image.resize((28, 28)), 95),
    "grey": (lambda image: image.convert("L").convert("RGB"), 90),
    "brightness 1.1": (lambda image: ImageEnhance.Brightness(image).enhance(1.1), 90),
    "contrast 1.2": (lambda image: ImageEnhance.Contrast(image).enhance(1.2), 90),
    "crop 2 %": (cropped(0.02), 90),
    "crop 5 %": (cropped(0.05), 90),
    "crop 10 %": (cropped(0.1), 90),
    "turned 2 degrees": (lambda image: image.rotate(2, Image.Resampling.BICUBIC), 90),
    "mirrored": (turned(TRANSPOSE.FLIP_LEFT_RIGHT), 90),
    "turned 90 degrees": (turned(TRANSPOSE.ROTATE_90), 90),
    "turned 180 degrees": (turned(TRANSPOSE.ROTATE_180), 90),
}


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--copies", type=int, default=300)
    chosen = parser.parse_args()
    dataset = read_dataset(chosen.data)
    seen = thumbnails(dataset.files)
    table = dataset.table[dataset.table["sha256"].isin(list(seen))].reset_index(drop=True)
    pixels = np.stack([seen[digest] for digest in table["sha256"]])
    signatures, kept = signatures_of(pixels), unpacked(packed(pixels))
    at = np.sort(np.random.default_rng(0).choice(len(table), chosen.copies, replace=False))
    some, some_kept = (
        Signatures(every.hashes[at], every.shapes[at]) for every in (signatures, kept)
    )
    result = {
        "question": "are copies found, and different lesions left alone?",
        "images": len(table),
        "split_table_sha256": dataset.split_sha256,
        "most_bits": MOST_BITS,
        "least_correlation": LEAST_CORRELATION,
        "least_packed_correlation": LEAST_PACKED_CORRELATION,
        "pairs": pairs(table, signatures),
        "packed_pairs": packed_pairs(table, signatures, kept),
        "copies_of_each": chosen.copies,
        "copies": copies([dataset.root / file for file in table["file"].iloc[at]], some, some_kept),
    }
    shown = ("pairs", "packed_pairs", "copies")
    publish(chosen.out, result, {name: result[name] for name in shown})


def pairs(table: pd.DataFrame, signatures: Signatures) -> dict[str, Any]:
    """Compare all images with one another, and name the likest of different lesions."""
    found = near(signatures, max(BITS))
    low, high, bits, correlation = found
    lesion = table["group"].to_numpy(str)
    same = lesion[low] == lesion[high]
    sizes = np.unique(lesion, return_counts=True)[1]
    of_one = int((sizes * (sizes - 1) // 2).sum())
    all_pairs = len(table) * (len(table) - 1) // 2
    hit = (bits <= MOST_BITS) & (correlation >= LEAST_CORRELATION)
    return {
        "of_one_lesion": of_one,
        "of_different_lesions": all_pairs - of_one,
        "at_most_bits": {str(most): counted(bits <= most, same, correlation) for most in BITS},
        "found_of_one_lesion": int((hit & same).sum()),
        "found_of_different_lesions": int((hit & ~same).sum()),
        "likest_of_different_lesions": likest(table, found, ~same & (bits <= MOST_BITS)),
    }


def packed_pairs(table: pd.DataFrame, whole: Signatures, kept: Signatures) -> dict[str, Any]:
    """Compare the same pairs by what is kept of them packed."""
    low, high, _, correlation = near(whole, MOST_BITS)
    theirs = np.einsum("ij,ij->i", kept.shapes[low], kept.shapes[high])
    lesion = table["group"].to_numpy(str)
    same, wanted = lesion[low] == lesion[high], correlation >= LEAST_CORRELATION
    hit = theirs >= LEAST_PACKED_CORRELATION
    return {
        "found_of_one_lesion": int((hit & same).sum()),
        "found_of_different_lesions": int((hit & ~same).sum()),
        "found_whole_but_not_packed": int((wanted & ~hit).sum()),
        "least_correlation_of_those_found_whole": float(theirs[wanted].min()),
        "best_correlation_of_different_lesions": float(theirs[~same].max()),
    }


def near(signatures: Signatures, most: int) -> tuple[NDArray[Any], ...]:
    """Give the pairs within ``most`` bits: both places, bits, correlation."""
    parts = []
    for start in range(0, len(signatures.hashes), ROWS):
        rows = np.bitwise_count(signatures.hashes[start : start + ROWS, None] ^ signatures.hashes)
        low, high = np.nonzero(rows <= most)
        kept = low + start < high
        low, high = low[kept], high[kept]
        correlation = np.einsum("ij,ij->i", signatures.shapes[low + start], signatures.shapes[high])
        parts.append((low + start, high, rows[low, high], correlation))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def counted(near: NDArray[np.bool_], same: NDArray[np.bool_], r: NDArray[Any]) -> dict[str, Any]:
    """Count pairs of one lesion and of different ones, and give the latter's best correlation."""
    others = near & ~same
    best = float(r[others].max()) if others.any() else None
    return {
        "of_one_lesion": int((near & same).sum()),
        "of_different_lesions": int(others.sum()),
        "best_correlation_of_different_lesions": best,
    }


def likest(
    table: pd.DataFrame, found: tuple[NDArray[Any], ...], chosen: NDArray[np.bool_]
) -> list[dict[str, Any]]:
    """Name the five pairs that correlate best."""
    low, high, bits, correlation = (values[chosen] for values in found)
    order = np.argsort(-correlation)[:5]
    return [
        {
            "images": [str(table["image_id"].iloc[at[k]]) for at in (low, high)],
            "dx": [str(table["dx"].iloc[at[k]]) for at in (low, high)],
            "bits": int(bits[k]),
            "correlation": float(correlation[k]),
        }
        for k in order
    ]


def copies(paths: list[Path], originals: Signatures, kept: Signatures) -> dict[str, Any]:
    """Compare copies of each kind with their originals."""
    found = {}
    for name, (change, quality) in CHANGES.items():
        with tempfile.TemporaryDirectory(prefix="hambatch-copies-") as place:
            made = [write(path, Path(place), change, quality) for path in paths]
            pixels = decode(made, InputSpec(), Preprocessing())
        grey = grey_thumbnails(pixels)
        signatures = signatures_of(grey)
        packed_correlation = np.einsum("ij,ij->i", unpacked(packed(grey)).shapes, kept.shapes)
        bits = np.bitwise_count(signatures.hashes ^ originals.hashes)
        correlation = np.einsum("ij,ij->i", signatures.shapes, originals.shapes)
        hit = (bits <= MOST_BITS) & (correlation >= LEAST_CORRELATION)
        hit_packed = (bits <= MOST_BITS) & (packed_correlation >= LEAST_PACKED_CORRELATION)
        found[name] = {
            "found": float(hit.mean()),
            "found_packed": float(hit_packed.mean()),
            "found_whole_but_not_packed": int((hit & ~hit_packed).sum()),
            "bits_median": float(np.median(bits)),
            "bits_most": int(bits.max()),
            "correlation_median": float(np.median(correlation)),
            "correlation_least": float(correlation.min()),
        }
    return found


def write(path: Path, place: Path, change: Change, quality: int) -> Path:
    """Encode a changed copy."""
    made = place / path.name
    with Image.open(path) as image:
        change(image.convert("RGB")).save(made, format="JPEG", quality=quality)
    return made


if __name__ == "__main__":
    main()
