"""Reading alone; reading, decoding and resizing; and arrays for what needs no files."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hambatch.bench.measuring import Loaded, timed
from hambatch.engines.manifest import read_manifest
from hambatch.errors import InputError
from hambatch.pipelines.options import DEFAULTS, DecoderOptions
from hambatch.pipelines.scoring import ScoringPipeline, build_pipeline
from hambatch.sources.reading import Item, read_ahead
from hambatch.types import Batch, on_host

PREFETCH = 4
"""Groups decoded ahead: nobody else wants the memory."""


Groups = tuple[tuple[Item, ...], ...]


def as_groups(groups: Iterable[Iterable[Item]]) -> Groups:
    """Freeze groups, so that they can be part of a task."""
    return tuple(tuple(group) for group in groups)


@dataclass(frozen=True)
class Reading:
    """Read and hash every file."""

    groups: Groups
    readers: int

    def load(self) -> Loaded:
        """Nothing to load; the warm-up leaves the files in the system's cache."""

        def work() -> int:
            groups = read_ahead(self.groups, self.readers)
            return sum(1 for group in groups for file in group if not file.problem)

        return Loaded("read", lambda: timed(work))


@dataclass(frozen=True)
class Decoding:
    """Read, decode and resize every file, and throw the pixels away.

    On the CPU, or on the GPU of number ``gpu``, where the pixels stay.
    """

    engine: Path
    groups: Groups
    readers: int
    decode_threads: int
    gpu: int | None = None
    decoder: DecoderOptions = DEFAULTS

    def load(self) -> Loaded:
        """Build the pipeline."""
        pipeline = self._pipeline()
        total = sum(map(len, self.groups))

        def work() -> int:
            done = sum(len(batch.indices) for batch in self._batches(pipeline))
            if done != total:
                raise InputError(
                    f"{total - done} of {total} images could not be decoded any more.\n"
                    "Next: run the same command again when nobody changes the folder"
                )
            return done

        return Loaded(pipeline.decoder, lambda: timed(work))

    def _pipeline(self) -> ScoringPipeline:
        manifest, size = read_manifest(self.engine), max(map(len, self.groups))
        return build_pipeline(
            size,
            self.decode_threads,
            PREFETCH,
            manifest.input,
            manifest.preprocessing,
            gpu=self.gpu,
            decoder=self.decoder,
        )

    def _batches(self, pipeline: ScoringPipeline) -> Iterator[Batch]:
        return pipeline.batches(read_ahead(self.groups, self.readers))


@dataclass(frozen=True)
class Unpacking(Decoding):
    """Decode every file once into ``pixels``, uint8 ``[n, 224, 224, 3]`` as .npy.

    In a process of its own: nobody else's memory is to grow by a decoder.
    """

    pixels: Path = Path()

    def load(self) -> Loaded:
        """Build the pipeline."""
        pipeline = self._pipeline()

        def work() -> int:
            # The batches' memory is the decoder's, which uses it again.
            images = [np.array(on_host(batch.images)) for batch in self._batches(pipeline)]
            np.save(self.pixels, np.concatenate(images))
            return sum(map(len, images))

        return Loaded(pipeline.decoder, lambda: timed(work))
