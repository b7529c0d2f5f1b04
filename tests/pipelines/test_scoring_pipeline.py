"""A bad file costs itself only; every batch answers for its own files."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.dali_lane import DaliScoring
from hambatch.pipelines.decoder_log import DecoderLog
from hambatch.pipelines.pillow_lane import PillowScoring
from hambatch.pipelines.scoring import FastLane, Flight, ScoringPipeline, build_pipeline
from hambatch.pipelines.slow_lane import Salvage
from hambatch.sources.reading import Fetched
from hambatch.types import Batch
from tests.conftest import jpeg_bytes, png_bytes
from tests.pipelines.odd import (
    cut_in_the_samples,
    with_broken_scan_header,
    with_hole,
    with_junk_in_the_header,
)

SPEC, HOW = InputSpec(), Preprocessing()


def files_of(contents: list[bytes]) -> list[Fetched]:
    return [Fetched(k, content, f"hash{k}") for k, content in enumerate(contents)]


def batches_of(files: list[Fetched], size: int = 4) -> list[object]:
    groups = [files[k : k + size] for k in range(0, len(files), size)]
    return list(build_pipeline(size, 2, 2, SPEC, HOW).batches(groups))


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
def test_a_bad_file_leaves_every_other_files_pixels_untouched(bad: int, content: bytes) -> None:
    good = [jpeg_bytes(k) if k % 5 else png_bytes(k) for k in range(12)]
    clean = {i: p for b in batches_of(files_of(good)) for i, p in zip(b.indices, b.images)}  # type: ignore[attr-defined] # noqa: B905
    mixed = good.copy()
    mixed[bad] = content
    seen = {}
    failed = {}
    for batch in batches_of(files_of(mixed)):
        seen |= dict(zip(batch.indices.tolist(), batch.images, strict=True))  # type: ignore[attr-defined]
        failed |= {f.index: f for f in batch.failures}  # type: ignore[attr-defined]
    assert sorted([*seen, *failed]) == list(range(12))
    assert list(failed) == [bad]
    assert failed[bad].reason
    assert failed[bad].sha256 == f"hash{bad}"
    for index, pixels in seen.items():
        np.testing.assert_array_equal(pixels, clean[index])


def test_batches_keep_the_order_of_their_files_when_some_take_the_slow_lane() -> None:
    contents = [jpeg_bytes(k) + (b"tail" if k % 3 == 0 else b"") for k in range(10)]
    found = batches_of(files_of(contents), size=5)
    assert [b.indices.tolist() for b in found] == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]  # type: ignore[attr-defined]
    alone = [batches_of([Fetched(k, c, "")])[0].images[0] for k, c in enumerate(contents)]  # type: ignore[attr-defined]
    together = np.concatenate([b.images for b in found])  # type: ignore[attr-defined]
    np.testing.assert_array_equal(together, np.stack(alone))


def test_a_group_of_bad_files_only_is_an_empty_batch() -> None:
    (batch,) = batches_of(files_of([b"", b"x"]))
    assert batch.images.shape == (0, 224, 224, 3)  # type: ignore[attr-defined]
    assert [f.reason for f in batch.failures] == [  # type: ignore[attr-defined]
        "empty file",
        "not a JPEG or PNG image (unknown content)",
    ]


def pipeline_of(build: Callable[[], FastLane], *, with_dali: bool = True) -> ScoringPipeline:
    log = DecoderLog()
    salvage = Salvage(SPEC, HOW, log=log, with_dali=with_dali)
    return ScoringPipeline(Flight(build, log), salvage, 3, SPEC)


def pixels_of(batches: Iterable[Batch]) -> dict[int, np.ndarray]:
    return {i: p for b in batches for i, p in zip(b.indices.tolist(), b.images, strict=True)}


class SwappedLane(DaliScoring):
    """Answers for the files of its second group in another order than it was asked."""

    built = groups = 0

    def __init__(self) -> None:
        super().__init__(4, 1, SPEC, HOW)
        type(self).built += 1

    def collect(self) -> tuple[np.ndarray, np.ndarray]:
        indices, images = super().collect()
        type(self).groups += 1
        return (indices[::-1] if self.groups == 2 else indices), images


def test_a_lane_that_answers_for_other_files_is_replaced_and_no_row_is_wrong() -> None:
    files = files_of([jpeg_bytes(k) for k in range(12)])
    pipeline = pipeline_of(SwappedLane)
    found = list(pipeline.batches([files[k : k + 3] for k in range(0, 12, 3)]))
    assert [b.indices.tolist() for b in found] == [[k, k + 1, k + 2] for k in range(0, 12, 3)]
    assert pipeline.troubles == {"mismatched": 1}
    assert SwappedLane.built == 2
    for index, pixels in pixels_of(found).items():
        np.testing.assert_array_equal(pixels, pixels_of(batches_of(files))[index])


@pytest.mark.usefixtures("stderr_file")
@pytest.mark.parametrize("threads", [1, 3])
def test_damage_that_decodes_with_a_warning_fails_its_file_and_no_other(threads: int) -> None:
    good = [jpeg_bytes(k, 300, 225) for k in range(40)]
    clean = pixels_of(batches_of(files_of(good)))
    bad = {
        3: cut_in_the_samples(good[3]),
        4: with_hole(good[4]),
        # In the slow lane, while the fast one decodes others.
        17: cut_in_the_samples(good[17]) + b"tail",
        18: with_junk_in_the_header(with_hole(good[18])),
        39: with_hole(good[39]),
    }
    files = files_of([bad.get(k, content) for k, content in enumerate(good)])
    files[25] = Fetched(25, good[25] + b"tail", "hash25")
    pipeline = build_pipeline(4, threads, 4, SPEC, HOW)
    found = list(pipeline.batches([files[k : k + 4] for k in range(0, 40, 4)]))
    failed = {f.index: f.reason for b in found for f in b.failures}
    assert sorted(failed) == sorted(bad)
    assert all(reason.startswith("damaged: ") for reason in failed.values())
    pixels = pixels_of(found)
    assert sorted([*pixels, *failed]) == list(range(40))
    for index, image in pixels.items():
        np.testing.assert_array_equal(image, clean[index])


def test_a_refused_batch_is_taken_apart_and_the_next_ones_are_not() -> None:
    good = [jpeg_bytes(k) for k in range(12)]
    mixed = [*good[:5], with_broken_scan_header(good[5]), *good[6:]]
    pipeline = build_pipeline(4, 2, 3, SPEC, HOW)
    files = files_of(mixed)
    found = list(pipeline.batches([files[k : k + 4] for k in range(0, 12, 4)]))
    assert [len(b.indices) for b in found] == [4, 3, 4]
    assert pipeline.troubles == {"refused": 1}
    clean = pixels_of(batches_of(files_of(good)))
    for index, pixels in pixels_of(found).items():
        np.testing.assert_array_equal(pixels, clean[index])


def test_a_chatty_decoder_does_not_fill_the_disk_and_changes_no_row(stderr_file: Path) -> None:
    good = files_of([jpeg_bytes(k) for k in range(12)])
    clean = pixels_of(batches_of(good))
    pipeline = build_pipeline(4, 2, 3, SPEC, HOW)
    os.write(2, b"something unimportant\n" * 100_000)
    found = pixels_of(pipeline.batches([good[k : k + 4] for k in range(0, 12, 4)]))
    assert stderr_file.stat().st_size == 0
    assert sorted(found) == list(range(12))
    for index, pixels in found.items():
        np.testing.assert_array_equal(pixels, clean[index])


def test_the_pillow_lane_keeps_the_same_contract() -> None:
    contents = [jpeg_bytes(0), b"\xff\xd8\xffjunk\xff\xd9", png_bytes(2), jpeg_bytes(3)]
    pipeline = pipeline_of(lambda: PillowScoring(2, SPEC, HOW), with_dali=False)
    (batch,) = pipeline.batches([files_of(contents)])
    (wanted,) = batches_of(files_of(contents))
    assert batch.indices.tolist() == [0, 2, 3]
    assert set(batch.decoders) == {"pillow"}
    assert np.abs(batch.images.astype(int) - wanted.images.astype(int)).max() <= 1  # type: ignore[attr-defined]


def test_a_batch_of_the_pillow_lane_is_dense_in_memory() -> None:
    pipeline = pipeline_of(lambda: PillowScoring(2, SPEC, HOW))
    (batch,) = pipeline.batches([files_of([jpeg_bytes(k, 90, 70) for k in range(3)])])
    assert batch.images.flags.c_contiguous
