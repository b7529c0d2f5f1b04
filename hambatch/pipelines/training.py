"""The training pipeline: encoded bytes and a matrix each to warped uint8 RGB batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.errors import InputError
from hambatch.pipelines.appearance import Looks, changed
from hambatch.pipelines.decode import REFUSALS, built, decode_and_resize
from hambatch.pipelines.options import DEFAULTS, DecoderOptions
from hambatch.pipelines.pillow_lane import IN_VAIN, in_srgb
from hambatch.system.cpu import available_cores

FILL = (124.0, 117.0, 104.0)
"""RGB mean of ImageNet: a cut-out square is 0 for the network, but for rounding."""


NO_LOOKS = Looks()


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
    """Views whose pixels are changed as well, as :func:`jittered` takes it."""

    def colours(self, index: int) -> NDArray[np.float32]:
        """Factors and degrees, ``[4]``."""

    def hole(self, index: int) -> NDArray[np.float32]:
        """Place and size, ``[4]``."""

    def look(self, index: int) -> NDArray[np.float32]:
        """Numbers of :class:`~hambatch.pipelines.appearance.Look`, ``[7]``."""

    def overlay(self, index: int) -> NDArray[np.uint8]:
        """What lies on it, ``[side, side, 4]``."""


def training_batches(
    samples: Samples | JitteredSamples,
    batch_size: int,
    spec: InputSpec,
    how: Preprocessing,
    gpu: int | None = None,
    jitter: bool = False,
    side: int | None = None,
    looks: Looks = NO_LOOKS,
) -> Iterator[NDArray[np.uint8]]:
    """Decode and warp all samples in order; DALI works ahead of the consumer.

    Yields uint8 ``[n, height, width, 3]``, or ``[n, side, side, 3]``, on the host, n =
    ``batch_size`` but for the last. What the GPU refuses is decoded by the CPU. With ``jitter``
    the samples have to be :class:`JitteredSamples`, and ``looks`` may name more steps. Raises
    InputError, with its name, if an image cannot be decoded, and BackendError if DALI cannot use
    that GPU.
    """
    views = _Views(samples, spec, how, gpu, jitter, side, looks)
    starts = range(0, len(samples), batch_size)
    batches = [range(start, min(start + batch_size, len(samples))) for start in starts]
    pipeline = None
    for k, batch in enumerate(batches):
        if pipeline is None:
            pipeline = views.pipeline(batches[k:], batch_size)
        try:
            images = _run(pipeline, batch)
        except REFUSALS:
            if gpu is None:
                # DALI's message does not name the file.
                for index in batch:
                    views.decode(index)
                raise
            # After an error a pipeline's state is undocumented, and it may hold the memory
            # that was missing; so would the error, within this block.
            pipeline = None
        if pipeline is None:
            images = np.concatenate([views.decode(index) for index in batch])
        yield images


@dataclass(frozen=True)
class _Views:
    samples: Any
    spec: InputSpec
    how: Preprocessing
    gpu: int | None
    jitter: bool
    side: int | None
    looks: Looks

    def pipeline(self, batches: Sequence[range], batch_size: int) -> Any:
        given = self._source(batches), batch_size, self.spec, self.how, self.gpu
        graph = training_graph(*given, jitter=self.jitter, side=self.side, looks=self.looks)
        return built(graph, self.gpu)

    def decode(self, index: int) -> NDArray[np.uint8]:
        """Decode one alone, on the CPU if the GPU refuses it; InputError if both do."""
        wanted = range(index, index + 1)
        try:
            return _run(self.pipeline([wanted], 1), wanted)
        except REFUSALS as error:
            if self.gpu is None:
                raise self._refused(index, _reason(error)) from error
        return replace(self, gpu=None).decode(index)

    def _source(self, batches: Sequence[range]) -> Iterator[tuple[list[Any], ...]]:
        samples = self.samples
        columns = [self._encoded, np.int64, samples.matrix]
        if self.jitter:
            columns += [samples.colours, samples.hole]
        if self.looks.has_numbers:
            columns.append(samples.look)
        if self.looks.overlay:
            columns.append(samples.overlay)
        for batch in batches:
            yield tuple([draw(i) for i in batch] for draw in columns)

    def _encoded(self, index: int) -> NDArray[np.uint8]:
        try:
            content = in_srgb(self.samples.encoded(index).tobytes(), self.how)
        except IN_VAIN as error:
            raise self._refused(index, str(error)) from error
        return np.frombuffer(content, np.uint8)

    def _refused(self, index: int, why: str) -> InputError:
        return InputError(
            f"{self.samples.name(index)} cannot be decoded: {why}.\n"
            "Next: restore the file, or prepare the split without it"
        )


def _run(pipeline: Any, wanted: range) -> NDArray[np.uint8]:
    images, indices = (np.array(output.as_cpu().as_tensor()) for output in pipeline.run())
    if indices.ravel().tolist() != list(wanted):
        raise RuntimeError(f"DALI returned samples {indices.ravel()}, wanted {list(wanted)}")
    return images


def _reason(refusal: Exception) -> str:
    """Take what DALI encountered out of its account of the pipeline."""
    account = str(refusal)
    reason = account.partition("encountered:")[2] or account
    return reason.strip().partition("\n")[0].rstrip(".")


def training_graph(
    source: Any,
    batch_size: int,
    spec: InputSpec,
    how: Preprocessing,
    gpu: int | None = None,
    decoder: DecoderOptions = DEFAULTS,
    jitter: bool = False,
    side: int | None = None,
    looks: Looks = NO_LOOKS,
) -> Any:
    """Define the pipeline without building it; outputs are the images and their int64 indices.

    Parameters
    ----------
    source
        Iterable of lists ``(encoded, index, matrix)`` of at most ``batch_size``
        samples each; with ``jitter`` lists of ``colours`` and ``hole`` follow, with ``looks`` one
        of ``look``, and with an overlay one of ``overlay``.
    side
        Of the warped images, in pixels; None: as large as the input of the network.
    """
    from nvidia.dali import Pipeline, fn, types

    kinds, dimensions = [types.UINT8, types.INT64, types.FLOAT], [1, 0, 2]
    if jitter:
        kinds, dimensions = [*kinds, types.FLOAT, types.FLOAT], [*dimensions, 1, 1]
    if looks.has_numbers:
        kinds, dimensions = [*kinds, types.FLOAT], [*dimensions, 1]
    if looks.overlay:
        kinds, dimensions = [*kinds, types.UINT8], [*dimensions, 3]
    size = (side, side) if side else (spec.height, spec.width)
    pipeline = Pipeline(batch_size, available_cores(), device_id=gpu, prefetch_queue_depth=2)
    with pipeline:
        encoded, index, matrix, *drawn = fn.external_source(
            source, num_outputs=len(kinds), dtype=kinds, ndim=dimensions
        )
        images = decode_and_resize(encoded, spec, how, gpu, decoder)
        # Without a fill value DALI clamps to the border, as Keras' fill_mode "nearest";
        # the matrix maps destination to source by default.
        warped = fn.warp_affine(images, matrix=matrix, size=size, interp_type=types.INTERP_LINEAR)
        if jitter:
            colours, hole, *look = drawn
            if look:
                warped = changed(warped, look[0], look[-1], looks, size[0])
            warped = jittered(warped, colours, hole)
        pipeline.set_outputs(warped, index)
    return pipeline


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
