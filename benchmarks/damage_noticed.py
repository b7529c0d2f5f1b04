"""How much of the damage inside a JPEG is noticed, by kind of damage?

Every image is damaged once in each way, within its entropy-coded samples, as it is and
as progressive JPEG, and scored; what was noticed is a failed row::

    python benchmarks/damage_noticed.py --images DIR --out result.json

Without --images, JPEGs are generated. Needs the checkout's tests and `pip install '.[test]'`.
"""

import io
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from result import parser_of, publish

from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from hambatch.sinks.formats import read_rows
from tests.faults.corpus import found_jpegs, generated_jpegs
from tests.faults.soft_engine import write_soft_engine

Rng = np.random.Generator


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
            "question": "how much of the damage inside a JPEG is noticed?",
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
    for coding, contents in codings.items():
        for kind, damage in DAMAGE.items():
            (folder / coding / kind).mkdir(parents=True)
            for k, content in enumerate(contents):
                (folder / coding / kind / f"{k:05d}.jpg").write_bytes(damage(rng, content))
    options = ScoreOptions.on_cpu(engine=str(write_soft_engine(place / "engine")))
    score([folder], place / "p.csv", "csv", options)
    failed: Counter[tuple[str, str]] = Counter()
    for row in read_rows(place / "p.csv", "csv"):
        coding, kind, _ = row.image.split("/")
        failed[coding, kind] += row.status == "failed"
    return {
        coding: {kind: round(failed[coding, kind] / len(images), 4) for kind in DAMAGE}
        for coding in codings
    }


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
