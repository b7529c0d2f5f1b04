"""A bad file costs itself only; every batch holds the pixels of its own files."""

import os
from pathlib import Path

import numpy as np
import pytest

from hambatch.pipelines.dali_lane import DaliLane
from hambatch.pipelines.pillow_lane import PillowLane
from hambatch.pipelines.scoring import build_pipeline
from hambatch.types import Batch
from tests.conftest import jpeg_bytes, png_bytes
from tests.pipelines.lanes import (
    HOW,
    SPEC,
    assert_same_pixels,
    by_cpu,
    fetched_of,
    files_of,
    pipeline_of,
    pixels_of,
)
from tests.pipelines.odd import (
    cut_in_the_samples,
    with_broken_scan_header,
    with_hole,
    with_junk_in_the_header,
)

GOOD = [jpeg_bytes(k) if k % 5 else png_bytes(k) for k in range(12)]


@pytest.fixture(scope="module")
def clean() -> dict[int, np.ndarray]:
    return by_cpu(GOOD)


def batches_of(contents: list[bytes], size: int = 4) -> list[Batch]:
    return list(build_pipeline(size, 2, 2, SPEC, HOW).batches(fetched_of(contents, size)))


def broken_in_the_middle(seed: int) -> bytes:
    # Starts and ends like a JPEG, so it passes the look at its ends and DALI refuses the batch.
    whole = jpeg_bytes(seed)
    return whole[: len(whole) // 3] + b"\xff\xd9"


@pytest.mark.parametrize("bad", [0, 1, 5, 11])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        b"\xff\xd8\xffjunk\xff\xd9",
        broken_in_the_middle(50)[:400] + b"\xff\xd9",
        with_broken_scan_header(jpeg_bytes(50)),
    ],
)
def test_a_bad_file_leaves_every_other_files_pixels_untouched(
    clean: dict[int, np.ndarray], bad: int, content: bytes
) -> None:
    found = batches_of([content if k == bad else good for k, good in enumerate(GOOD)])
    failed = {f.index: f for batch in found for f in batch.failures}
    assert sorted([*pixels_of(found), *failed]) == list(range(12))
    assert list(failed) == [bad]
    assert failed[bad].reason
    assert failed[bad].sha256 == f"hash{bad}"
    assert_same_pixels(found, clean)


def test_batches_keep_the_order_of_their_files_when_some_take_the_slow_lane() -> None:
    contents = [jpeg_bytes(k) + (b"tail" if k % 3 == 0 else b"") for k in range(10)]
    found = batches_of(contents, size=5)
    assert [b.indices.tolist() for b in found] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    alone = [batches_of([content])[0].images[0] for content in contents]
    together = np.concatenate([b.images for b in found])
    np.testing.assert_array_equal(together, np.stack(alone))


def test_a_list_of_bad_files_only_is_an_empty_batch() -> None:
    (batch,) = batches_of([b"", b"x\0"])
    assert batch.images.shape == (0, 224, 224, 3)
    assert [f.reason for f in batch.failures] == [
        "empty file",
        "not an image that hambatch reads (unknown content)",
    ]


class SwappedLane(DaliLane):
    """Gives the indices of its second batch in another order."""

    built = batches = 0

    def __init__(self) -> None:
        super().__init__(4, 1, SPEC, HOW)
        type(self).built += 1

    def collect(self) -> tuple[np.ndarray, np.ndarray]:
        indices, images = super().collect()
        type(self).batches += 1
        return (indices[::-1] if self.batches == 2 else indices), images


def test_a_lane_that_gives_other_indices_is_replaced_and_no_row_is_wrong(
    clean: dict[int, np.ndarray],
) -> None:
    pipeline = pipeline_of(SwappedLane)
    found = list(pipeline.batches(fetched_of(GOOD, 3)))
    assert [b.indices.tolist() for b in found] == [[k, k + 1, k + 2] for k in range(0, 12, 3)]
    assert pipeline.troubles == {"mismatched": 1}
    assert SwappedLane.built == 2
    assert_same_pixels(found, clean)


@pytest.mark.usefixtures("stderr_file")
@pytest.mark.parametrize("threads", [1, 3])
def test_damage_that_decodes_with_a_warning_fails_its_file_and_no_other(threads: int) -> None:
    good = [jpeg_bytes(k, 300, 225) for k in range(40)]
    clean = by_cpu(good)
    bad = {
        3: cut_in_the_samples(good[3]),
        4: with_hole(good[4]),
        # In the slow lane, while the fast one decodes others.
        17: cut_in_the_samples(good[17]) + b"tail",
        18: with_junk_in_the_header(with_hole(good[18])),
        39: with_hole(good[39]),
    }
    contents = [bad.get(k, content) for k, content in enumerate(good)]
    contents[25] += b"tail"
    found = list(build_pipeline(4, threads, 4, SPEC, HOW).batches(fetched_of(contents)))
    failed = {f.index: f.reason for b in found for f in b.failures}
    assert sorted(failed) == sorted(bad)
    assert all(reason.startswith("damaged: ") for reason in failed.values())
    assert sorted([*pixels_of(found), *failed]) == list(range(40))
    assert_same_pixels(found, clean)


def test_a_refused_batch_is_taken_apart_and_the_next_ones_are_not(
    clean: dict[int, np.ndarray],
) -> None:
    broken = [*GOOD[:6], with_broken_scan_header(GOOD[6]), *GOOD[7:]]
    pipeline = build_pipeline(4, 2, 3, SPEC, HOW)
    found = list(pipeline.batches(fetched_of(broken)))
    assert [len(b.indices) for b in found] == [4, 3, 4]
    assert pipeline.troubles == {"refused": 1}
    assert_same_pixels(found, clean)


def test_a_chatty_decoder_does_not_fill_the_disk_and_changes_no_row(
    stderr_file: Path, clean: dict[int, np.ndarray]
) -> None:
    pipeline = build_pipeline(4, 2, 3, SPEC, HOW)
    os.write(2, b"something unimportant\n" * 100_000)
    found = list(pipeline.batches(fetched_of(GOOD)))
    assert stderr_file.stat().st_size == 0
    assert sorted(pixels_of(found)) == list(range(12))
    assert_same_pixels(found, clean)


def test_the_pillow_lane_keeps_the_same_contract() -> None:
    contents = [jpeg_bytes(0), b"\xff\xd8\xffjunk\xff\xd9", png_bytes(2), jpeg_bytes(3)]
    pipeline = pipeline_of(lambda: PillowLane(2, SPEC, HOW), with_dali=False)
    (batch,) = pipeline.batches([files_of(contents)])
    (wanted,) = batches_of(contents)
    assert batch.indices.tolist() == [0, 2, 3]
    assert set(batch.decoders) == {"pillow"}
    assert np.abs(batch.images.astype(int) - wanted.images.astype(int)).max() <= 1


def test_a_batch_of_the_pillow_lane_is_dense_in_memory() -> None:
    pipeline = pipeline_of(lambda: PillowLane(2, SPEC, HOW))
    (batch,) = pipeline.batches([files_of([jpeg_bytes(k, 90, 70) for k in range(3)])])
    assert batch.images.flags.c_contiguous
