"""Reading alone; reading, decoding and resizing; and arrays for what needs no files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hambatch.bench.measuring import Case, Loaded, timed
from hambatch.engines.manifest import read_manifest
from hambatch.errors import InputError
from hambatch.pipelines.decode import has_dali
from hambatch.pipelines.options import DEFAULTS, DecoderOptions
from hambatch.pipelines.scoring import ScoringPipeline, build_pipeline
from hambatch.sources.reading import Item, read_ahead
from hambatch.system.text import plural
from hambatch.types import Batch, on_host

PREFETCH = 4
"""Batches decoded ahead: nothing else here needs the memory."""

Batches = tuple[tuple[Item, ...], ...]


@dataclass(frozen=True)
class Reading:
    """Read and hash every file."""

    batches: Batches
    readers: int

    def case(self) -> Case:
        """Name what is measured."""
        name = f"read, {plural(self.readers, 'reader')}"
        return Case(name, "read", {"readers": self.readers}, self)

    def load(self) -> Loaded:
        """Nothing to load; the warm-up leaves the files in the system's cache."""

        def work() -> int:
            batches = read_ahead(self.batches, self.readers)
            return sum(1 for batch in batches for file in batch if not file.problem)

        return Loaded(lambda: timed(work))


@dataclass(frozen=True)
class Decoding:
    """Read, decode and resize every file, and throw the pixels away.

    On the CPU, or on the GPU of number ``gpu``, where the pixels stay.
    """

    engine: Path
    batches: Batches
    readers: int
    decode_threads: int
    gpu: int | None = None
    decoder: DecoderOptions = DEFAULTS

    @property
    def how(self) -> str:
        """What distinguishes it from others of the same batch size."""
        threads = plural(self.decode_threads, "decode thread")
        load = f", hw_decoder_load {self.decoder.hw_decoder_load:g}"
        return threads if self.gpu is None else threads + load

    def case(self, batch_size: int) -> Case:
        """Name what is measured; settings of a GPU only where it decodes."""
        on_cpu = "dali-cpu" if has_dali() else "pillow"
        decoder = on_cpu if self.gpu is None else "dali-gpu"
        settings: dict[str, str | int | float] = {
            "decoder": decoder,
            "batch_size": batch_size,
            "decode_threads": self.decode_threads,
            "readers": self.readers,
        }
        if self.gpu is not None:
            settings |= {"gpu": self.gpu, "hw_decoder_load": self.decoder.hw_decoder_load}
        return Case(f"{decoder}, batch {batch_size}, {self.how}", "decode", settings, self)

    def load(self) -> Loaded:
        """Build the pipeline."""
        pipeline, total = self._pipeline(), sum(map(len, self.batches))

        def work() -> int:
            done = sum(len(batch.indices) for batch in self._decoded(pipeline))
            if done != total:
                raise InputError(
                    f"{total - done} of {total} images could not be decoded any more.\n"
                    "Next: run the same command again when the folder does not change any more"
                )
            return done

        return Loaded(lambda: timed(work))

    def _pipeline(self) -> ScoringPipeline:
        manifest = read_manifest(self.engine)
        return build_pipeline(
            max(map(len, self.batches)),
            self.decode_threads,
            PREFETCH,
            manifest.input,
            manifest.preprocessing,
            gpu=self.gpu,
            decoder=self.decoder,
        )

    def _decoded(self, pipeline: ScoringPipeline) -> Iterator[Batch]:
        return pipeline.batches(read_ahead(self.batches, self.readers))


@dataclass(frozen=True)
class Unpacking(Decoding):
    """Decode every file once into ``pixels``, uint8 ``[n, 224, 224, 3]`` as .npy.

    In a process of its own, so that no other one's memory grows by a decoder.
    """

    pixels: Path = Path()

    def load(self) -> Loaded:
        """Build the pipeline."""
        pipeline = self._pipeline()

        def work() -> int:
            # The batches' memory is the decoder's, which uses it again.
            images = [np.array(on_host(batch.images)) for batch in self._decoded(pipeline)]
            np.save(self.pixels, np.concatenate(images))
            return sum(map(len, images))

        return Loaded(lambda: timed(work))
