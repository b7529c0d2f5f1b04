"""The DALI scoring pipeline: fed with bytes and indices, asserts every batch."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.decode import DEFAULTS, REFUSALS, built, decode_and_resize, pipeline_device
from hambatch.pipelines.header import FAST_PIXELS, read_header
from hambatch.pipelines.options import DecoderOptions
from hambatch.sources.reading import Fetched
from hambatch.types import DeviceImages, Images, on_host


class Portion(NamedTuple):
    """Files that are decoded together, and how many pixels they have by their headers."""

    files: Sequence[Fetched]
    pixels: int


def portions(files: Sequence[Fetched], most_pixels: int) -> Iterator[Portion]:
    """Cut files into portions of at most so many pixels, of at least one file each."""
    start, pixels = 0, 0
    for place, file in enumerate(files):
        header = read_header(file.content)
        own = header.pixels if header else 0
        if place > start and pixels + own > most_pixels:
            yield Portion(files[start:place], pixels)
            start, pixels = place, 0
        pixels += own
    if files:
        yield Portion(files[start:], pixels)


def portion_pixels(threads: int) -> int:
    """Give the most pixels of a portion: two of the largest pictures for each decoding thread.

    With two threads 64 megapixels, 192 MB as RGB; 64 of HAM10000's pictures have 17.
    """
    return 2 * max(threads, 2) * FAST_PIXELS


class DaliScoring:
    """Decodes groups of files; several may be in flight, answers come in order.

    On the CPU a group of large pictures is decoded in portions, and what lies decoded at full
    size does not grow with it.

    Parameters
    ----------
    batch_size
        Most files a group may hold.
    device
        ``"cpu"``, or ``"mixed"`` for the GPU: images stay on it then.
    device_id
        Which GPU, as CUDA numbers them.
    alive
        Called whenever some of a group are done: a group of large pictures takes seconds.

    Raises
    ------
    BackendError
        If DALI cannot use that GPU.
    """

    def __init__(
        self,
        batch_size: int,
        threads: int,
        spec: InputSpec,
        how: Preprocessing,
        device: str = "cpu",
        device_id: int = 0,
        decoder: DecoderOptions = DEFAULTS,
        alive: Callable[[], None] | None = None,
    ) -> None:
        self.own_pixels = device == "mixed"
        self.name = "dali-gpu" if self.own_pixels else "dali-cpu"
        graph = scoring_graph(batch_size, threads, spec, how, device, device_id, decoder)
        self._pipe = built(graph, device, device_id)
        self._alive = alive
        self._most_pixels = portion_pixels(threads)
        # Portions of each group; portions that wait; those being decoded, by their pixels.
        self._groups: deque[int] = deque()
        self._waiting: deque[Portion] = deque()
        self._running: deque[int] = deque()

    def feed(self, files: Sequence[Fetched]) -> None:
        """Start decoding a group; its answer is the next :meth:`collect` but those before."""
        # What the GPU decodes stays there: in one piece, so that it can be passed on by address.
        whole = self.own_pixels
        parts = [Portion(files, 0)] if whole else list(portions(files, self._most_pixels))
        self._groups.append(len(parts))
        self._waiting += parts
        self._start()

    def collect(self) -> tuple[NDArray[np.int64], Images]:
        """Wait for the oldest group: indices ``[n]``, images ``[n, h, w, 3]`` uint8.

        Raises
        ------
        RuntimeError
            If DALI refuses any file of the group, or lacks memory for it; it does not say
            which file.

        Notes
        -----
        Without a stream, ``outputs`` waits until the GPU is done with the group [1]_. Before
        that nobody knows whether it can be trusted, nor which of a backend's streams will
        read it; what comes after it is decoded meanwhile, so the GPU does not idle. Its pixels
        are there for every stream then. The memory is the tensor list's own: it goes back to
        DALI, to be written to again, when the list does, so a reader keeps the list until it
        has read.

        References
        ----------
        .. [1] DALI, ``nvidia.dali.Pipeline.outputs``: ``cuda_stream``.
        """
        parts = [self._next() for _ in range(self._groups.popleft())]
        for part in parts:
            if isinstance(part, RuntimeError):
                raise part
        found = [part for part in parts if not isinstance(part, RuntimeError)]
        if len(found) == 1:
            return found[0]
        return (
            np.concatenate([indices for indices, _ in found]),
            np.concatenate([on_host(images) for _, images in found]),
        )

    def _start(self) -> None:
        # While one portion is collected, the next is decoded.
        most = 2 * self._most_pixels
        while self._waiting and (
            not self._running or sum(self._running) + self._waiting[0].pixels <= most
        ):
            files, pixels = self._waiting.popleft()
            self._pipe.feed_input("encoded", [np.frombuffer(f.content, np.uint8) for f in files])
            self._pipe.feed_input("indices", [np.array([f.index], np.int64) for f in files])
            self._pipe.schedule_run()
            self._running.append(pixels)

    def _next(self) -> tuple[NDArray[np.int64], Images] | RuntimeError:
        """Wait for the oldest portion; the error is given, for the others are to be awaited."""
        try:
            indices, images = self._pipe.outputs()
        except REFUSALS as error:
            refused = RuntimeError(str(error))
            refused.__cause__ = error
            return refused
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
            self._next()
        del self._pipe
        if self.own_pixels:
            _release_memory()


def _release_memory() -> None:
    """Give the GPU's memory that DALI keeps for later to whoever lacks it now."""
    from nvidia.dali import backend

    backend.ReleaseUnusedMemory()  # type: ignore[attr-defined, unused-ignore]


def left_on_device(images: Any) -> DeviceImages:
    """Describe a tensor list whose samples have one shape, without copying it."""
    tensor = images.as_tensor()
    n, height, width, channels = tensor.shape()
    return DeviceImages(tensor.data_ptr(), (n, height, width, channels), owner=images)


def scoring_graph(
    batch_size: int,
    threads: int,
    spec: InputSpec,
    how: Preprocessing,
    device: str = "cpu",
    device_id: int = 0,
    decoder: DecoderOptions = DEFAULTS,
) -> Any:
    """Define the pipeline without building it; needs no GPU, even for ``mixed``."""
    from nvidia.dali import fn, pipeline_def

    @pipeline_def(  # type: ignore[untyped-decorator]
        batch_size=batch_size,
        num_threads=threads,
        device_id=pipeline_device(device, device_id),
        # With a depth of 1 every `schedule_run` starts exactly the group just fed, and the
        # dynamic executor still works on several: how far ahead is the caller's choice. With
        # more, the first call would ask for as many groups at once.
        prefetch_queue_depth=1,
    )
    def graph() -> Any:
        encoded = fn.external_source(name="encoded", ndim=1, dtype=_dali_type("UINT8"))
        indices = fn.external_source(name="indices", ndim=1, dtype=_dali_type("INT64"))
        return indices, decode_and_resize(encoded, device, spec, how, decoder)

    return graph()


def _dali_type(name: str) -> Any:
    from nvidia.dali import types

    return getattr(types, name)
