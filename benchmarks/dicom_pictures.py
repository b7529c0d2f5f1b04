"""How often are colours of a DICOM called ambiguous, and damage within its frames noticed?

Images are looked at as RGB and as YCbCr, each under the right name and the wrong one. Some are
stored in each transfer syntax and damaged within the compressed frame; what was noticed is a
failed row, or would be::

    python benchmarks/dicom_pictures.py --images DIR --images OTHER --out result.json

Needs the checkout's tests, and `pip install '.[test]'`.
"""

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from result import parser_of, publish

from hambatch.pipelines.dicom import colours
from hambatch.pipelines.dicom.colours import RGB, YBR
from hambatch.pipelines.pillow_lane import UndecodableImage
from hambatch.pipelines.slow_lane import SlowLane
from hambatch.sources.reading import Fetched
from hambatch.types import Failure
from tests.faults.dicom_absences import ENCODINGS, fragments_of, with_fragments
from tests.pipelines.lanes import HOW, SPEC

Rng = np.random.Generator

SYNTAXES = ("rle", "jpeg-ls", "lossless jpeg", "jpeg 2000")
DAMAGED, TIMES, SIZE, HEADER = 12, 5, (300, 225), 900
"""Images that are damaged, how often each, their size, and bytes that are left as they are."""

DAMAGE = {
    "cut, with an end marker": lambda rng, s, at: s[:at] + b"\xff\xd9",
    "512 bytes lost": lambda rng, s, at: s[:at] + s[at + 512 :],
    "64 bytes lost": lambda rng, s, at: s[:at] + s[at + 64 :],
    "512 bytes zero": lambda rng, s, at: s[:at] + bytes(512) + s[at + 512 :],
    "512 bytes random": lambda rng, s, at: s[:at] + rng.bytes(512) + s[at + 512 :],
    "16 bytes random": lambda rng, s, at: s[:at] + rng.bytes(16) + s[at + 16 :],
    "one bit": lambda rng, s, at: s[:at] + bytes([s[at] ^ 1 << rng.integers(8)]) + s[at + 1 :],
}


def main() -> None:
    """Look, damage, decode, count and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--images", type=Path, action="append", required=True, help="folders")
    parser.add_argument("--count", type=int, default=1500, help="images of each folder")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng, files = np.random.default_rng(chosen.seed), []
    for folder in chosen.images:
        found = sorted(folder.rglob("*.jpg"))
        files += [found[k] for k in rng.permutation(len(found))[: chosen.count]]
    with tempfile.TemporaryFile("w+b") as log:
        # As in a worker: what decoders print lies in a file.
        os.dup2(log.fileno(), 2)
        noticed = {name: damage_noticed(name, files[:DAMAGED], rng) for name in SYNTAXES}
    shown = {"images": len(files), "called_ambiguous": called_ambiguous(files), "noticed": noticed}
    question = "how often are colours called ambiguous, and damage within frames noticed?"
    publish(chosen.out, {"question": question, "seed": chosen.seed, **shown}, shown)


def called_ambiguous(files: Sequence[Path]) -> dict[str, float]:
    """Give the share of images that fail, by what they hold and what they are called."""
    failed: Counter[str] = Counter()
    for file in files:
        with Image.open(file) as image:
            rgb = image.convert("RGB")
        for holds, picture in ((RGB, rgb), (YBR, rgb.convert("YCbCr"))):
            for called in (RGB, YBR):
                try:
                    colours.check(picture, called)
                except UndecodableImage:
                    failed[f"{holds} called {called}"] += 1
    names = [f"{holds} called {called}" for holds in (RGB, YBR) for called in (RGB, YBR)]
    return {name: round(failed[name] / len(files), 4) for name in names}


def damage_noticed(syntax: str, files: Sequence[Path], rng: Rng) -> dict[str, float]:
    """Give the share of damaged files that fail, by kind of damage."""
    lane, failed = SlowLane(SPEC, HOW), Counter[str]()
    for file in files:
        with Image.open(file) as image:
            whole = ENCODINGS[syntax](image.convert("RGB").resize(SIZE))
        frame = b"".join(fragments_of(dcmread(DicomBytesIO(whole))))
        for kind, damage in DAMAGE.items():
            for _ in range(TIMES):
                at = int(rng.integers(HEADER, len(frame) - 600))
                content = with_fragments(dcmread(DicomBytesIO(whole)), [damage(rng, frame, at)])
                failed[kind] += isinstance(lane.decode(Fetched(0, content, "")), Failure)
    return {kind: round(failed[kind] / len(files) / TIMES, 4) for kind in DAMAGE}


if __name__ == "__main__":
    main()
