"""The slow lane: one file at a time, first DALI alone, then Pillow.

Whatever happens to a file here happens to that file only.
"""

import numpy as np
from numpy.typing import NDArray

from hambatch.batches import Failure
from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines import pillow_decode
from hambatch.pipelines.dali_scoring import DaliScoring
from hambatch.sources.content import SUPPORTED, image_format
from hambatch.sources.reading import Fetched

Salvaged = tuple[NDArray[np.uint8], str]
"""uint8 RGB ``[height, width, 3]``, and who decoded it."""


class Salvage:
    """Decodes single files; builds its DALI pipeline when the first one comes."""

    def __init__(self, spec: InputSpec, how: Preprocessing, *, with_dali: bool = True) -> None:
        self._spec, self._how, self._with_dali = spec, how, with_dali
        self._dali: DaliScoring | None = None

    def decode(self, file: Fetched) -> Salvaged | Failure:
        """Decode one file, or say in a line why nobody can."""
        refusal = _refusal(file)
        if refusal:
            return Failure(file.index, file.sha256, refusal)
        pixels = self._alone(file) if self._with_dali else None
        if pixels is not None:
            return pixels, "dali-cpu"
        try:
            return pillow_decode.decode(file.content, self._spec, self._how), "pillow"
        except pillow_decode.UndecodableImage as error:
            return Failure(file.index, file.sha256, f"cannot be decoded: {error}")

    def _alone(self, file: Fetched) -> NDArray[np.uint8] | None:
        if self._dali is None:
            self._dali = DaliScoring(1, 1, self._spec, self._how)
        try:
            self._dali.feed([file])
            indices, images = self._dali.collect()
        except RuntimeError:
            # After an error the pipeline's state is undocumented: a new one costs 10 ms.
            self._dali = None
            return None
        if indices.tolist() != [file.index]:
            raise AssertionError(f"DALI answered for {indices}, asked for {file.index}")
        pixels: NDArray[np.uint8] = images[0].copy()
        return pixels


def _refusal(file: Fetched) -> str:
    if file.problem:
        return file.problem
    if not file.content:
        return "empty file"
    found = image_format(file.content)
    if found not in SUPPORTED:
        return f"not a JPEG or PNG image ({found or 'unknown content'})"
    return ""
