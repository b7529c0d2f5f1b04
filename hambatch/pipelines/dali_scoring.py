"""The DALI scoring pipeline: fed with bytes and indices, asserts every batch."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.decode import decode_and_resize
from hambatch.sources.reading import Fetched


class DaliScoring:
    """Decodes groups of files; several may be in flight, answers come in order.

    Parameters
    ----------
    batch_size
        Most files a group may hold.
    device
        ``"cpu"``, or ``"mixed"`` for the GPU.
    """

    def __init__(
        self,
        batch_size: int,
        threads: int,
        spec: InputSpec,
        how: Preprocessing,
        device: str = "cpu",
    ) -> None:
        self.name = "dali-gpu" if device == "mixed" else "dali-cpu"
        self._pipe = scoring_graph(batch_size, threads, spec, how, device)
        self._pipe.build()
        self._in_flight = 0

    def feed(self, files: Sequence[Fetched]) -> None:
        """Start decoding a group; its answer is the next :meth:`collect` but those before."""
        self._pipe.feed_input("encoded", [np.frombuffer(f.content, np.uint8) for f in files])
        self._pipe.feed_input("indices", [np.array([f.index], np.int64) for f in files])
        self._pipe.schedule_run()
        self._in_flight += 1

    def collect(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Wait for the oldest group: indices ``[n]``, images ``[n, h, w, 3]`` uint8.

        Raises
        ------
        RuntimeError
            If DALI refuses any file of the group; it does not say which.
        """
        self._in_flight -= 1
        try:
            indices, images = self._pipe.outputs()
        except (ValueError, TypeError, IndexError) as error:
            # DALI gives some of its errors the class of Python's that is nearest.
            raise RuntimeError(str(error)) from error
        return np.array(indices.as_tensor()).reshape(-1), np.asarray(images.as_tensor())

    def close(self) -> None:
        """Wait until nothing is being decoded; what is in flight is dropped."""
        while self._in_flight:
            with contextlib.suppress(RuntimeError):
                self.collect()
        del self._pipe


def scoring_graph(
    batch_size: int,
    threads: int,
    spec: InputSpec,
    how: Preprocessing,
    device: str = "cpu",
) -> Any:
    """Define the pipeline without building it; needs no GPU, even for ``mixed``."""
    from nvidia.dali import fn, pipeline_def

    @pipeline_def(  # type: ignore[untyped-decorator]
        batch_size=batch_size,
        num_threads=threads,
        device_id=None if device == "cpu" else 0,
        # With a depth of 1 every `schedule_run` starts exactly the group just fed, and the
        # dynamic executor still works on several: how far ahead is the caller's choice. With
        # more, the first call would ask for as many groups at once.
        prefetch_queue_depth=1,
    )
    def graph() -> Any:
        encoded = fn.external_source(name="encoded", ndim=1, dtype=_dali_type("UINT8"))
        indices = fn.external_source(name="indices", ndim=1, dtype=_dali_type("INT64"))
        return indices, decode_and_resize(encoded, device, spec, how)

    return graph()


def _dali_type(name: str) -> Any:
    from nvidia.dali import types

    return getattr(types, name)
