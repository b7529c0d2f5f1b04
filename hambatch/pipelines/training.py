"""The training pipeline: encoded bytes and a matrix each to warped uint8 RGB batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.errors import InputError
from hambatch.pipelines.decode import DEFAULTS, REFUSALS, built, decode_and_resize, pipeline_device
from hambatch.pipelines.options import DecoderOptions
from hambatch.system.cpu import available_cores

FILL = (124.0, 117.0, 104.0)
"""RGB mean of ImageNet: a cut-out square is 0 for the network, but for rounding."""


def jittered(images: Any, colours: Any, hole: Any) -> Any:
    """Build the graph from uint8 RGB images to such with other colours and a hole.

    Parameters
    ----------
    colours
        DALI node of float32 ``[4]`` samples: factors of brightness, contrast and
        saturation, and degrees of hue.
    hole
        DALI node of float32 ``[4]`` samples: top, left, height and width in pixels.
    """
    from nvidia.dali import fn

    images = fn.color_twist(
        images,
        brightness=colours[0],
        contrast=colours[1],
        saturation=colours[2],
        hue=colours[3],
    )
    return fn.erase(images, anchor=hole[0:2], shape=hole[2:4], axis_names="HW", fill_value=FILL)


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


class JitteredSamples(Samples, Protocol):
    """Views whose pixels are changed as well, by :mod:`hambatch.pipelines.training`."""

    def colours(self, index: int) -> NDArray[np.float32]:
        """Factors and degrees, ``[4]``."""

    def hole(self, index: int) -> NDArray[np.float32]:
        """Place and size, ``[4]``."""


def build_training_pipeline(
    source: Any,
    batch_size: int,
    spec: InputSpec,
    how: Preprocessing,
    device: str = "cpu",
    device_id: int = 0,
    decoder: DecoderOptions = DEFAULTS,
    jitter: bool = False,
    side: int | None = None,
) -> Any:
    """Construct the graph; outputs are the images and their int64 indices.

    Parameters
    ----------
    source
        Iterable of lists ``(encoded, index, matrix)`` of at most ``batch_size``
        samples each; with ``jitter`` lists of ``colours`` and ``hole`` follow.
    device
        ``"cpu"``, or ``"mixed"`` to decode and warp on GPU ``device_id``, as CUDA numbers
        them; needs no GPU before it is built.
    side
        Of the warped images, in pixels; None: as large as the input of the network.
    """
    from nvidia.dali import fn, pipeline_def, types

    kinds = [types.UINT8, types.INT64, types.FLOAT]
    size = (side, side) if side else (spec.height, spec.width)
    if jitter:
        kinds += [types.FLOAT, types.FLOAT]

    @pipeline_def(  # type: ignore[untyped-decorator, unused-ignore]
        batch_size=batch_size,
        num_threads=available_cores(),
        device_id=pipeline_device(device, device_id),
        prefetch_queue_depth=2,
    )
    def graph() -> Any:
        encoded, index, matrix, *drawn = fn.external_source(
            source,
            num_outputs=len(kinds),
            dtype=kinds,
            ndim=[1, 0, 2, 1, 1][: len(kinds)],
        )
        images = decode_and_resize(encoded, device, spec, how, decoder)
        # Without a fill value DALI clamps to the border, as Keras' fill_mode "nearest";
        # the matrix maps destination to source by default.
        warped = fn.warp_affine(images, matrix=matrix, size=size, interp_type=types.INTERP_LINEAR)
        return (jittered(warped, *drawn) if drawn else warped), index

    return graph()


def training_batches(
    samples: Samples | JitteredSamples,
    batch_size: int,
    spec: InputSpec,
    how: Preprocessing,
    device: str = "cpu",
    device_id: int = 0,
    jitter: bool = False,
    side: int | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Decode and warp all samples in order; DALI works ahead of the consumer.

    Yields uint8 ``[n, height, width, 3]``, or ``[n, side, side, 3]``, on the host, n =
    ``batch_size`` but for the last. What the GPU refuses is decoded by the CPU. With ``jitter``
    the samples have to be :class:`JitteredSamples`.

    Raises
    ------
    InputError
        If an image cannot be decoded, with its name.
    BackendError
        If DALI cannot use that GPU.
    """
    lane = _Lane(samples, spec, how, device, device_id, jitter, side)
    batches = [
        range(start, min(start + batch_size, len(samples)))
        for start in range(0, len(samples), batch_size)
    ]
    pipeline = None
    for k, wanted in enumerate(batches):
        if pipeline is None:
            pipeline = lane.pipeline(batches[k:], batch_size)
        try:
            images = _run(pipeline, wanted)
        except REFUSALS as error:
            if device == "cpu":
                raise _undecodable(lane, wanted, error) from error
            # After an error a pipeline's state is undocumented, and it may hold the memory
            # that was missing; so would the error, within this block.
            pipeline = None
        if pipeline is None:
            images = np.concatenate([_alone(lane, index) for index in wanted])
        yield images


@dataclass(frozen=True)
class _Lane:
    samples: Any
    spec: InputSpec
    how: Preprocessing
    device: str
    device_id: int
    jitter: bool
    side: int | None

    def pipeline(self, batches: Sequence[range], batch_size: int) -> Any:
        source, where = self._source(batches), (self.device, self.device_id)
        build: Any = build_training_pipeline
        if self.jitter or self.side:
            build = partial(build, jitter=self.jitter, side=self.side)
        graph = build(source, batch_size, self.spec, self.how, *where)
        return built(graph, *where)

    def decode(self, index: int) -> NDArray[np.uint8]:
        wanted = range(index, index + 1)
        return _run(self.pipeline([wanted], 1), wanted)

    def _source(self, batches: Sequence[range]) -> Iterator[tuple[list[Any], ...]]:
        samples = self.samples
        columns = [samples.encoded, np.int64, samples.matrix]
        if self.jitter:
            columns += [samples.colours, samples.hole]
        for batch in batches:
            yield tuple([draw(i) for i in batch] for draw in columns)


def _run(pipeline: Any, wanted: range) -> NDArray[np.uint8]:
    images, indices = (_host(output) for output in pipeline.run())
    if indices.ravel().tolist() != list(wanted):
        raise RuntimeError(f"DALI returned samples {indices.ravel()}, wanted {list(wanted)}")
    return images


def _host(output: Any) -> NDArray[Any]:
    return np.array(output.as_cpu().as_tensor())


def _alone(lane: _Lane, index: int) -> NDArray[np.uint8]:
    """Decode one file of a refused batch, on the CPU if the GPU refuses it alone as well."""
    try:
        return lane.decode(index)
    except REFUSALS:
        try:
            return replace(lane, device="cpu").decode(index)
        except REFUSALS as error:
            raise _refused(lane, index, error) from error


def _undecodable(lane: _Lane, batch: range, error: Exception) -> Exception:
    """Find which image of a failed batch DALI refuses: its message names none."""
    for index in batch:
        try:
            lane.decode(index)
        except REFUSALS as refusal:
            return _refused(lane, index, refusal)
    return error


def _refused(lane: _Lane, index: int, refusal: Exception) -> InputError:
    return InputError(
        f"{lane.samples.name(index)} cannot be decoded: {_reason(refusal)}.\n"
        "Next: restore the file, or prepare the split without it"
    )


def _reason(refusal: Exception) -> str:
    """Take what DALI encountered out of its account of the pipeline."""
    account = str(refusal)
    reason = account.partition("encountered:")[2] or account
    return reason.strip().partition("\n")[0].rstrip(".")
