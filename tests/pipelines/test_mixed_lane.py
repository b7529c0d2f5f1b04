"""A GPU's batches stay on it, and its bad files cost no other file a row."""

import ctypes
from pathlib import Path

import numpy as np
import pytest

from hambatch.backends import load_backend
from hambatch.engines.loading import load_engine
from hambatch.errors import BackendError
from hambatch.pipelines.scoring import build_pipeline
from hambatch.types import DeviceImages, on_host
from tests.conftest import jpeg_bytes, png_bytes
from tests.pipelines.lanes import (
    BOTH_LANES,
    HOW,
    LEVELS,
    SIZE,
    SPEC,
    HostAsDevice,
    assert_same_pixels,
    by_cpu,
    fetched_of,
    lane_of,
    mean_difference,
    pipeline_of,
    pixels_of,
    why_no_gpu,
)
from tests.pipelines.odd import cut_in_the_samples, with_broken_scan_header, with_hole

GOOD = [png_bytes(k) if k == 6 else jpeg_bytes(k, 300 + k, 225) for k in range(12)]


def test_the_host_lanes_pointer_leads_to_the_pixels() -> None:
    (batch, *_) = pipeline_of(HostAsDevice).batches(fetched_of(GOOD))
    assert isinstance(batch.images, DeviceImages)
    size = int(np.prod(batch.images.shape))
    there = np.frombuffer(ctypes.string_at(batch.images.pointer, size), np.uint8)
    np.testing.assert_array_equal(there.reshape(batch.images.shape), on_host(batch.images))


@pytest.mark.parametrize("kind", BOTH_LANES)
def test_whole_batches_stay_on_the_device_with_the_cpus_pixels(kind: str) -> None:
    found = list(pipeline_of(lane_of(kind)).batches(fetched_of(GOOD)))
    for batch in found:
        assert isinstance(batch.images, DeviceImages)
        assert batch.images.shape == (SIZE, 224, 224, 3)
        assert len(batch.images) == len(batch.indices)
        assert batch.images.pointer
        assert set(batch.decoders) == {"dali-gpu"}
    clean = by_cpu(GOOD)
    for index, pixels in pixels_of(found).items():
        assert mean_difference(pixels, clean[index]) <= LEVELS[kind]


@pytest.mark.parametrize("kind", BOTH_LANES)
def test_a_batch_that_is_kept_is_not_written_over_by_later_ones(kind: str) -> None:
    pipeline = pipeline_of(lane_of(kind))
    batches = pipeline.batches(fetched_of(GOOD * 4))
    first = next(batches)
    before = on_host(first.images).copy()
    for _ in batches:
        pass
    np.testing.assert_array_equal(on_host(first.images), before)


@pytest.mark.parametrize("kind", BOTH_LANES)
def test_a_part_batch_stays_on_the_device_too(kind: str) -> None:
    (batch,) = pipeline_of(lane_of(kind)).batches(fetched_of(GOOD[:3]))
    assert isinstance(batch.images, DeviceImages)
    assert batch.images.shape[0] == 3


@pytest.mark.parametrize("kind", BOTH_LANES)
def test_with_a_suspect_the_batch_is_put_together_on_the_host(kind: str) -> None:
    mixed = [*GOOD[:5], GOOD[5] + b"tail", *GOOD[6:]]
    found = list(pipeline_of(lane_of(kind)).batches(fetched_of(mixed)))
    assert [isinstance(b.images, DeviceImages) for b in found] == [True, False, True]
    assert found[1].decoders == ["dali-gpu", "dali-cpu", "dali-gpu", "dali-gpu"]
    clean = pixels_of(pipeline_of(lane_of(kind)).batches(fetched_of(GOOD)))
    pixels = pixels_of(found)
    np.testing.assert_array_equal(pixels[5], by_cpu(mixed)[5])
    for index in set(range(12)) - {5}:
        np.testing.assert_array_equal(pixels[index], clean[index])


@pytest.mark.parametrize("kind", BOTH_LANES)
def test_files_that_no_decoder_decodes_leave_the_rest_on_the_device(kind: str) -> None:
    (batch,) = pipeline_of(lane_of(kind)).batches(fetched_of([GOOD[0], b"", GOOD[2], b"x"]))
    assert isinstance(batch.images, DeviceImages)
    assert batch.indices.tolist() == [0, 2]
    assert batch.sha256 == ["hash0", "hash2"]
    assert [f.index for f in batch.failures] == [1, 3]


@pytest.mark.parametrize("kind", BOTH_LANES)
def test_a_refused_batch_is_taken_apart_and_its_good_files_keep_their_pixels(kind: str) -> None:
    broken = [*GOOD[:5], with_broken_scan_header(jpeg_bytes(5)), *GOOD[6:]]
    pipeline = pipeline_of(lane_of(kind))
    found = list(pipeline.batches(fetched_of(broken)))
    assert [b.indices.tolist() for b in found] == [[0, 1, 2, 3], [4, 6, 7], [8, 9, 10, 11]]
    assert [f.index for b in found for f in b.failures] == [5]
    assert pipeline.troubles == {"refused": 1}
    assert {d for b in found for d in b.decoders} == {"dali-gpu"}
    assert isinstance(found[2].images, DeviceImages)
    clean = pixels_of(pipeline_of(lane_of(kind)).batches(fetched_of(GOOD)))
    assert_same_pixels(found, clean)


@pytest.mark.usefixtures("stderr_file")
@pytest.mark.parametrize("kind", BOTH_LANES)
def test_damage_that_decodes_fails_its_file_and_changes_no_other(kind: str) -> None:
    """Not yet measured: whether a GPU's decoder warns of a JPEG that is damaged inside."""
    damaged = [*GOOD[:3], with_hole(GOOD[3]), *GOOD[4:9], cut_in_the_samples(GOOD[9]), *GOOD[10:]]
    found = list(pipeline_of(lane_of(kind)).batches(fetched_of(damaged)))
    assert [f.index for b in found for f in b.failures] == [3, 9]
    assert all(f.reason.startswith("damaged: ") for b in found for f in b.failures)
    clean = pixels_of(pipeline_of(lane_of(kind)).batches(fetched_of(GOOD)))
    assert_same_pixels(found, clean)


class Small(HostAsDevice):
    """Has no memory for the sixth file, in whatever batch."""

    error: type[Exception] = RuntimeError

    def __init__(self) -> None:
        super().__init__()
        self._pipe = _Limited(self._pipe, self.error)


class _Limited:
    def __init__(self, pipe, error: type[Exception]) -> None:
        self._inner, self._error = pipe, error

    def __getattr__(self, name: str):
        return getattr(self._inner, name)

    def outputs(self):
        indices, images = self._inner.outputs()
        if 5 in np.array(indices.as_tensor()):
            raise self._error("Can't allocate 3221225472 bytes on device 0.")
        return indices, images


@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_what_is_too_large_for_the_gpu_is_decoded_by_the_cpu(error: type[Exception]) -> None:
    lane = type("Lane", (Small,), {"error": error})
    pipeline = pipeline_of(lane)
    found = list(pipeline.batches(fetched_of(GOOD)))
    assert [d for b in found for d in b.decoders] == ["dali-gpu"] * 5 + ["dali-cpu"] + [
        "dali-gpu"
    ] * 6
    assert not [f for b in found for f in b.failures]
    assert pipeline.troubles == {"refused": 1}
    clean = by_cpu(GOOD)
    assert sorted(pixels_of(found)) == list(range(12))
    assert_same_pixels(found, clean)


class Swapped(HostAsDevice):
    """Gives the indices of its second batch in another order."""

    batches = 0

    def collect(self):
        indices, images = super().collect()
        type(self).batches += 1
        return (indices[::-1] if self.batches == 2 else indices), images


def test_a_lane_that_gives_other_indices_is_replaced_and_no_row_is_wrong() -> None:
    pipeline = pipeline_of(Swapped)
    found = list(pipeline.batches(fetched_of(GOOD)))
    assert pipeline.troubles == {"mismatched": 1}
    clean = by_cpu(GOOD)
    assert sorted(pixels_of(found)) == list(range(12))
    assert_same_pixels(found, clean)


@pytest.mark.parametrize("kind", BOTH_LANES)
def test_a_backend_of_the_host_scores_them_as_the_cpu_paths(kind: str, tiny_engine: Path) -> None:
    backend = load_backend("openvino", load_engine(tiny_engine), "fp32", 1)
    mixed = [*GOOD[:5], GOOD[5] + b"tail", *GOOD[6:]]
    ours = list(backend.predict(pipeline_of(lane_of(kind)).batches(fetched_of(mixed))))
    cpu = build_pipeline(SIZE, 1, 3, SPEC, HOW)
    theirs = list(backend.predict(cpu.batches(fetched_of(mixed))))
    backend.close()
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.batch.indices, other.batch.indices)
        np.testing.assert_allclose(one.logits, other.logits, atol=LEVELS[kind], rtol=0)


def test_without_a_gpu_the_mixed_pipeline_is_refused_with_the_way_out() -> None:
    if not why_no_gpu():
        pytest.skip("there is a GPU here")
    with pytest.raises(BackendError, match=r"(?s)GPU 1: .*\nNext: .*--device cpu") as refusal:
        build_pipeline(SIZE, 1, 3, SPEC, HOW, gpu=1)
    assert len(str(refusal.value).splitlines()) == 2
