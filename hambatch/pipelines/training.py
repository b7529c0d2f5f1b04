"""The training pipeline: encoded bytes and a matrix each to warped uint8 RGB batches."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.cores import available_cores
from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.errors import InputError
from hambatch.pipelines.decode import decode_and_resize


class Samples(Protocol):
    """What the pipeline warps: a list of views that are read when their turn comes."""

    def __len__(self) -> int:
        """Count them."""
        ...

    def name(self, index: int) -> str:
        """Name the image in messages."""

    def encoded(self, index: int) -> NDArray[np.uint8]:
        """Read the whole file, 1-D."""

    def matrix(self, index: int) -> NDArray[np.float32]:
        """Matrix ``[2, 3]`` from view to image, as ``warp_affine`` takes it."""


def build_training_pipeline(
    source: Any, batch_size: int, spec: InputSpec, how: Preprocessing, device: str = "cpu"
) -> Any:
    """Construct the graph; outputs are the images and their int64 indices.

    Parameters
    ----------
    source
        Iterable of lists ``(encoded, index, matrix)`` of at most ``batch_size``
        samples each.
    device
        ``"cpu"``, or ``"mixed"`` to decode and warp on GPU 0.
    """
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(  # type: ignore[untyped-decorator, unused-ignore]
        batch_size=batch_size,
        num_threads=available_cores(),
        device_id=None if device == "cpu" else 0,
        prefetch_queue_depth=2,
    )
    def graph() -> Any:
        encoded, index, matrix = fn.external_source(
            source,
            num_outputs=3,
            dtype=[types.UINT8, types.INT64, types.FLOAT],
            ndim=[1, 0, 2],
        )
        images = decode_and_resize(encoded, device, spec, how)
        # Without a fill value DALI clamps to the border, as Keras' fill_mode "nearest";
        # the matrix maps destination to source by default.
        warped = fn.warp_affine(images, matrix=matrix, interp_type=types.INTERP_LINEAR)
        return warped, index

    return graph()


def training_batches(
    samples: Samples, batch_size: int, spec: InputSpec, how: Preprocessing, device: str = "cpu"
) -> Iterator[NDArray[np.uint8]]:
    """Decode and warp all samples in order; DALI works ahead of the consumer.

    Yields uint8 ``[n, height, width, 3]``, n = ``batch_size`` but for the last.

    Raises
    ------
    InputError
        If an image cannot be decoded, with its name.
    """
    batches = [
        range(start, min(start + batch_size, len(samples)))
        for start in range(0, len(samples), batch_size)
    ]
    pipeline = build_training_pipeline(_source(samples, batches), batch_size, spec, how, device)
    pipeline.build()
    for wanted in batches:
        try:
            images, indices = (_host(output) for output in pipeline.run())
        except RuntimeError as error:
            raise _undecodable(samples, wanted, spec, how, error) from error
        if indices.ravel().tolist() != list(wanted):
            raise RuntimeError(f"DALI returned samples {indices.ravel()}, wanted {list(wanted)}")
        yield images


def _source(samples: Samples, batches: Sequence[range]) -> Iterator[tuple[list[Any], ...]]:
    for batch in batches:
        yield (
            [samples.encoded(i) for i in batch],
            [np.int64(i) for i in batch],
            [samples.matrix(i) for i in batch],
        )


def _host(output: Any) -> NDArray[Any]:
    return np.array(output.as_cpu().as_tensor())


def _undecodable(
    samples: Samples, batch: range, spec: InputSpec, how: Preprocessing, error: RuntimeError
) -> Exception:
    """Find which image of a failed batch DALI refuses: its message names none."""
    for index in batch:
        one = [range(index, index + 1)]
        pipeline = build_training_pipeline(_source(samples, one), 1, spec, how)
        pipeline.build()
        try:
            pipeline.run()
        except RuntimeError as refusal:
            reason = _reason(refusal)
            return InputError(
                f"{samples.name(index)} cannot be decoded: {reason}.\n"
                "Next: restore the file, or prepare the split without it"
            )
    return error


def _reason(refusal: RuntimeError) -> str:
    """Take what DALI encountered out of its account of the pipeline."""
    return str(refusal).partition("encountered:")[2].strip().partition("\n")[0].rstrip(".")
