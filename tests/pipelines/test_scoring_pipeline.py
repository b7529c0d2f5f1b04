"""A bad file costs itself only; every batch answers for its own files."""

import numpy as np
import pytest

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.dali_scoring import DaliScoring
from hambatch.pipelines.pillow_scoring import PillowScoring
from hambatch.pipelines.salvage import Salvage
from hambatch.pipelines.scoring import FastLane, ScoringPipeline, build_pipeline
from hambatch.sources.reading import Fetched
from tests.conftest import jpeg_bytes, png_bytes

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
    [b"", b"junk", b"\xff\xd8\xffjunk\xff\xd9", broken_in_the_middle(50)[:400] + b"\xff\xd9"],
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


class SwappedLane(DaliScoring):
    """Answers for its files in another order than it was asked."""

    def collect(self) -> tuple[np.ndarray, np.ndarray]:
        indices, images = super().collect()
        return indices[::-1], images


def test_a_lane_that_answers_for_other_files_is_caught() -> None:
    lane: FastLane = SwappedLane(4, 1, SPEC, HOW)
    pipeline = ScoringPipeline(lane, Salvage(SPEC, HOW), 2, SPEC)
    with pytest.raises(AssertionError, match=r"answered for \[1, 0\], asked for \[0, 1\]"):
        list(pipeline.batches([files_of([jpeg_bytes(1), jpeg_bytes(2)])]))


def test_the_pillow_lane_keeps_the_same_contract() -> None:
    contents = [jpeg_bytes(0), b"\xff\xd8\xffjunk\xff\xd9", png_bytes(2), jpeg_bytes(3)]
    lane: FastLane = PillowScoring(2, SPEC, HOW)
    pipeline = ScoringPipeline(lane, Salvage(SPEC, HOW, with_dali=False), 2, SPEC)
    (batch,) = pipeline.batches([files_of(contents)])
    (wanted,) = batches_of(files_of(contents))
    assert batch.indices.tolist() == [0, 2, 3]
    assert set(batch.decoders) == {"pillow"}
    assert np.abs(batch.images.astype(int) - wanted.images.astype(int)).max() <= 1  # type: ignore[attr-defined]


def test_a_batch_of_the_pillow_lane_is_dense_in_memory() -> None:
    pipeline = ScoringPipeline(PillowScoring(2, SPEC, HOW), Salvage(SPEC, HOW), 1, SPEC)
    (batch,) = pipeline.batches([files_of([jpeg_bytes(k, 90, 70) for k in range(3)])])
    assert batch.images.flags.c_contiguous
