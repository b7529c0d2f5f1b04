"""The fast lane of DALI: fed with bytes and indices, it decodes batches in order."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.decode import REFUSALS, built, feed, scoring_graph
from hambatch.pipelines.header import FAST_PIXELS, read_header
from hambatch.pipelines.options import DEFAULTS, DecoderOptions
from hambatch.sources.reading import Fetched
from hambatch.types import DeviceImages, Images, on_host


class Chunk(NamedTuple):
    """Files that are decoded at once, and how many pixels they have by their headers."""

    files: Sequence[Fetched]
    pixels: int


def chunks_of(files: Sequence[Fetched], most_pixels: int) -> Iterator[Chunk]:
    """Cut files into chunks of at most so many pixels, of at least one file each."""
    start, pixels = 0, 0
    for place, file in enumerate(files):
        header = read_header(file.content)
        own = header.pixels if header else 0
        if place > start and pixels + own > most_pixels:
            yield Chunk(files[start:place], pixels)
            start, pixels = place, 0
        pixels += own
    if files:
        yield Chunk(files[start:], pixels)


def chunk_pixels(threads: int) -> int:
    """Give the most pixels of a chunk: two of the largest images for each decoding thread.

    With two threads 64 megapixels, 192 MB as RGB; 64 of HAM10000's images have 17.
    """
    return 2 * max(threads, 2) * FAST_PIXELS


class DaliLane:
    """Decodes batches of files; several may be in flight, and they come back in order.

    On the CPU a batch of large images is decoded in chunks, so that what lies decoded at full
    size does not grow with the batch. Raises BackendError if DALI cannot use the GPU.

    Parameters
    ----------
    batch_size
        Most files that a batch may hold.
    gpu
        The number of the GPU that decodes, where the images stay then; None: the CPU.
    alive
        Called whenever a part of a batch is done: a batch of large images takes seconds.
    """

    def __init__(
        self,
        batch_size: int,
        threads: int,
        spec: InputSpec,
        how: Preprocessing,
        gpu: int | None = None,
        decoder: DecoderOptions = DEFAULTS,
        alive: Callable[[], None] | None = None,
    ) -> None:
        self.own_pixels = gpu is not None
        self.name = "dali-gpu" if self.own_pixels else "dali-cpu"
        self._pipe = built(scoring_graph(batch_size, threads, spec, how, gpu, decoder), gpu)
        self._alive = alive
        self._most_pixels = chunk_pixels(threads)
        # Chunks of each batch; chunks that wait; those being decoded, by their pixels.
        self._batches: deque[int] = deque()
        self._waiting: deque[Chunk] = deque()
        self._running: deque[int] = deque()

    def feed(self, files: Sequence[Fetched]) -> None:
        """Start decoding a batch; :meth:`collect` gives the batches in this order."""
        # What the GPU decodes stays there: in one piece, so that it can be passed on by address.
        whole = self.own_pixels
        chunks = [Chunk(files, 0)] if whole else list(chunks_of(files, self._most_pixels))
        self._batches.append(len(chunks))
        self._waiting += chunks
        self._start()

    def collect(self) -> tuple[NDArray[np.int64], Images]:
        """Wait for the oldest batch: indices ``[n]``, images ``[n, h, w, 3]`` uint8.

        Raises RuntimeError if DALI refuses any file of the batch, or lacks memory for it; it
        does not say which file.

        Notes
        -----
        Without a stream, ``outputs`` waits until the GPU is done with the batch [1]_. Only then
        is it known whether it decoded, and which of a backend's streams will read it; the later
        batches are decoded meanwhile, so the GPU does not idle. Its pixels are there for every
        stream then. The memory is the tensor list's own: it goes back to DALI, to be written to
        again, when the list does, so a reader keeps the list until it has read.

        References
        ----------
        .. [1] DALI, ``nvidia.dali.Pipeline.outputs``: ``cuda_stream``.
        """
        found, refusals = [], []
        # All chunks are awaited, also after a refused one: the next batch comes after them.
        for _ in range(self._batches.popleft()):
            try:
                found.append(self._next())
            except RuntimeError as error:
                refusals.append(error)
        if refusals:
            raise refusals[0]
        if len(found) == 1:
            return found[0]
        indices, images = zip(*found, strict=True)
        return np.concatenate(indices), np.concatenate([on_host(part) for part in images])

    def _start(self) -> None:
        # While one chunk is collected, the next is decoded.
        most = 2 * self._most_pixels
        while self._waiting and (
            not self._running or sum(self._running) + self._waiting[0].pixels <= most
        ):
            files, pixels = self._waiting.popleft()
            feed(self._pipe, [f.content for f in files], [f.index for f in files])
            self._pipe.schedule_run()
            self._running.append(pixels)

    def _next(self) -> tuple[NDArray[np.int64], Images]:
        """Wait for the oldest chunk."""
        try:
            indices, images = self._pipe.outputs()
        except REFUSALS as error:
            raise RuntimeError(str(error)) from error
        finally:
            self._running.popleft()
            self._start()
            if self._alive:
                self._alive()
        found = np.array(indices.as_tensor()).reshape(-1)
        return found, left_on_device(images) if self.own_pixels else np.asarray(images.as_tensor())

    def close(self) -> None:
        """Wait until nothing is being decoded; what is in flight is dropped."""
        self._waiting.clear()
        while self._running:
            with suppress(RuntimeError):
                self._next()
        del self._pipe
        if self.own_pixels:
            from nvidia.dali import backend

            # Memory of the GPU that DALI keeps for later, and that others may lack now.
            backend.ReleaseUnusedMemory()  # type: ignore[attr-defined, unused-ignore]


def left_on_device(images: Any) -> DeviceImages:
    """Describe a tensor list whose samples have one shape, without copying it."""
    tensor = images.as_tensor()
    n, height, width, channels = tensor.shape()
    return DeviceImages(tensor.data_ptr(), (n, height, width, channels), owner=images)
