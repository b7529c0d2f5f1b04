"""Decoding a picture with DALI, in a child process that it may crash."""

import io

import numpy as np
from PIL import Image

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.dali_lane import DaliLane
from hambatch.sources.reading import Fetched
from hambatch.system.probe import report
from hambatch.types import on_host

COLOUR = (120, 90, 60)


NEAR = 3
"""JPEG keeps a plain colour to a level or two."""


def main() -> None:
    """Report the name of the decoder that gave back what was put in."""
    stream = io.BytesIO()
    Image.new("RGB", (96, 72), COLOUR).save(stream, format="JPEG")
    decoder = DaliLane(1, 1, InputSpec(), Preprocessing())
    decoder.feed([Fetched(0, stream.getvalue(), "")])
    _, images = decoder.collect()
    far = int(np.abs(on_host(images).astype(int) - COLOUR).max())
    if far > NEAR:
        raise RuntimeError(f"a plain picture came back {far} levels off, wanted at most {NEAR}")
    report(decoder.name)
