"""How much of the damage inside a picture is noticed, by format and kind of damage?

Every image is damaged once in each way, within its entropy-coded samples, as it is and
as progressive JPEG, and scored; what was noticed is a failed row. So is every third image in
further formats, whose lengths are put in order behind the damage::

    python benchmarks/damage_noticed.py --images DIR --out result.json

Without --images, JPEGs are generated. Needs the checkout's tests and `pip install '.[test]'`.
"""

import io
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from result import parser_of, publish

from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from hambatch.sinks.formats import read_rows
from tests.faults import heif_absences as heif
from tests.faults import jpeg2000_absences as jpeg2000
from tests.faults import tiff_absences as tiff
from tests.faults import tiff_writing
from tests.faults import webp_absences as webp
from tests.faults.corpus import found_jpegs, generated_jpegs
from tests.faults.soft_engine import write_soft_engine

Rng = np.random.Generator

LEAST = 1500
"""Bytes of a piece that is damaged."""


def main() -> None:
    """Damage, score, count and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: generated ones")
    parser.add_argument("--count", type=int, default=300, help="images")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.images:
        images = found_jpegs(chosen.images, chosen.count, chosen.seed)
    else:
        images = generated_jpegs(chosen.count, chosen.seed, 600, 450)
    with tempfile.TemporaryDirectory() as place:
        noticed = measure(images, Path(place), chosen.seed)
    publish(
        chosen.out,
        {
            "question": "how much of the damage inside a picture is noticed?",
            "images": len(images),
            "seed": chosen.seed,
            "noticed": noticed,
        },
        noticed,
    )


def measure(images: list[bytes], place: Path, seed: int) -> dict[str, dict[str, float]]:
    """Share of failed rows by coding and kind of damage."""
    rng, folder = np.random.default_rng(seed), place / "images"
    codings = {"as they are": images, "progressive": [progressive(image) for image in images]}
    codings |= {name: [of.encoded(image) for image in images[::3]] for name, of in FURTHER.items()}
    for coding, contents in codings.items():
        for kind, damage in DAMAGE.items():
            (folder / coding / kind).mkdir(parents=True)
            for k, content in enumerate(contents):
                found = damaged(rng, content, damage, FURTHER.get(coding))
                (folder / coding / kind / f"{k:05d}.jpg").write_bytes(found)
    options = ScoreOptions.on_cpu(engine=str(write_soft_engine(place / "engine")))
    score([folder], place / "p.csv", "csv", options)
    failed: Counter[tuple[str, str]] = Counter()
    for row in read_rows(place / "p.csv", "csv"):
        coding, kind, _ = row.image.split("/")
        failed[coding, kind] += row.status == "failed"
    return {
        coding: {kind: round(failed[coding, kind] / len(contents), 4) for kind in DAMAGE}
        for coding, contents in codings.items()
    }


@dataclass(frozen=True)
class Further:
    """How a format is written, and how its compressed pixels are taken out and put back."""

    encode: Callable[[Image.Image], bytes]
    pieces: Callable[[bytes], list[bytes]]
    written: Callable[[bytes, list[bytes]], bytes]

    def encoded(self, content: bytes) -> bytes:
        """Write the picture of a JPEG."""
        return self.encode(Image.open(io.BytesIO(content)).convert("RGB"))


FURTHER = {
    "WebP": Further(partial(webp.encoded, quality=90), webp.pieces_of, webp.with_pieces),
    "WebP, lossless": Further(
        partial(webp.encoded, lossless=True), webp.pieces_of, webp.with_pieces
    ),
    "TIFF, LZW": Further(
        partial(tiff_writing.encoded, compression="tiff_lzw"), tiff.pieces_of, tiff.with_pieces
    ),
    "TIFF, deflated": Further(
        partial(tiff_writing.plain, deflated=True), tiff.pieces_of, tiff.with_pieces
    ),
    "JPEG 2000": Further(
        partial(jpeg2000.encoded, irreversible=True, quality_mode="rates", quality_layers=[20, 8]),
        *(jpeg2000.pieces_of, jpeg2000.with_pieces),
    ),
    "AVIF": Further(partial(heif.avif, quality=85), heif.pieces_of, heif.with_pieces),
    "HEIC": Further(partial(heif.heic, quality=85), heif.pieces_of, heif.with_pieces),
}


def damaged(
    rng: Rng, content: bytes, damage: Callable[[Rng, bytes], bytes], of: Further | None
) -> bytes:
    """Damage a JPEG, or a piece of another format that is large enough."""
    if of is None:
        return damage(rng, content)
    pieces = of.pieces(content)
    large = [k for k, piece in enumerate(pieces) if len(piece) > LEAST]
    k = large[int(rng.integers(len(large)))]
    # Where a JPEG's samples begin, a mark stands.
    marked = damage(rng, b"\xff\xda" + pieces[k] + b"\xff\xd9")
    pieces[k] = marked[2:-2]
    return of.written(content, pieces)


def progressive(content: bytes) -> bytes:
    """The same picture, coded in several scans."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(content)).save(stream, "JPEG", progressive=True, quality=75)
    return stream.getvalue()


def within(rng: Rng, content: bytes, length: int) -> int:
    """Where ``length`` bytes of samples begin."""
    return int(rng.integers(content.index(b"\xff\xda") + 20, len(content) - length - 2))


def overwritten(length: int, fill: Callable[[Rng, int], bytes]) -> Callable[[Rng, bytes], bytes]:
    """Replace a run of samples."""

    def damage(rng: Rng, content: bytes) -> bytes:
        place = within(rng, content, length)
        return content[:place] + fill(rng, length) + content[place + length :]

    return damage


def cut_with_end(rng: Rng, content: bytes) -> bytes:
    """Cut off in the samples, with an end marker all the same."""
    return content[: within(rng, content, 512)] + b"\xff\xd9"


def one_bit(rng: Rng, content: bytes) -> bytes:
    """Flip one bit of the samples."""
    place = within(rng, content, 1)
    flipped = content[place] ^ (1 << int(rng.integers(8)))
    return content[:place] + bytes([flipped]) + content[place + 1 :]


def noise(rng: Rng, length: int) -> bytes:
    """Draw random bytes."""
    return rng.bytes(length)


DAMAGE: dict[str, Callable[[Rng, bytes], bytes]] = {
    "cut, with an end marker": cut_with_end,
    "512 bytes lost": overwritten(512, lambda rng, length: b""),
    "512 bytes random": overwritten(512, noise),
    "512 bytes zero": overwritten(512, lambda rng, length: bytes(length)),
    "16 bytes random": overwritten(16, noise),
    "one bit flipped": one_bit,
}


if __name__ == "__main__":
    main()
