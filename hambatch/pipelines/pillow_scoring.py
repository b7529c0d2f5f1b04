"""The fast lane where DALI has no wheel: Pillow in threads, the same contract."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.pillow_decode import UndecodableImage, decode
from hambatch.sources.reading import Fetched

Pixels = NDArray[np.uint8]


class PillowScoring:
    """Decodes groups of files with Pillow, which releases the GIL while decoding."""

    name = "pillow"
    own_pixels = False

    def __init__(self, threads: int, spec: InputSpec, how: Preprocessing) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="pillow")
        self._spec, self._how = spec, how
        self._fed: deque[list[tuple[int, Future[Pixels]]]] = deque()

    def feed(self, files: Sequence[Fetched]) -> None:
        """Start decoding a group."""
        self._fed.append(
            [(f.index, self._pool.submit(decode, f.content, self._spec, self._how)) for f in files]
        )

    def collect(self) -> tuple[NDArray[np.int64], Pixels]:
        """Wait for the oldest group: indices ``[n]``, images ``[n, h, w, 3]`` uint8.

        Raises
        ------
        RuntimeError
            If a file of the group cannot be decoded.
        """
        group = self._fed.popleft()
        try:
            images = [future.result() for _, future in group]
        except UndecodableImage as error:
            raise RuntimeError(str(error)) from error
        return np.array([index for index, _ in group], np.int64), np.stack(images)

    def close(self) -> None:
        """Wait until nothing is being decoded; what is in flight is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)
