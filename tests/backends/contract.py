"""What every backend must do, whatever runtime is behind it."""

from collections.abc import Iterator, Sequence

import numpy as np

from hambatch.backends import Backend
from hambatch.types import Batch, Failure, Scored


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Random uint8 ``[count, 224, 224, 3]``."""
    return np.random.default_rng(seed).integers(0, 256, (count, 224, 224, 3), np.uint8)


def batch_of(images: np.ndarray, first: int = 0, failures: Sequence[Failure] = ()) -> Batch:
    n = len(images)
    return Batch(np.arange(first, first + n), images, ["dali-cpu"] * n, ["0" * 64] * n, failures)


def scores(backend: Backend, images: np.ndarray) -> np.ndarray:
    return next(iter(backend.predict([batch_of(images)]))).logits


class BackendContract:
    """Subclass it in a test module that has a ``backend`` fixture."""

    def test_scores_have_the_promised_shapes_and_types(self, backend: Backend) -> None:
        (scored,) = backend.predict([batch_of(pictures(3))])
        assert (scored.logits.shape, scored.logits.dtype) == ((3, 7), np.float32)
        assert (scored.features.shape, scored.features.dtype) == ((3, 2048), np.float32)
        assert np.isfinite(scored.logits).all()

    def test_batches_come_back_in_order_with_their_failures(self, backend: Backend) -> None:
        sizes, images = [3, 0, 1, 9, 2], pictures(15)

        def batches() -> Iterator[Batch]:
            start = 0
            for size in sizes:
                failure = Failure(100 + start, "", f"after {start}")
                yield batch_of(images[start : start + size], start, [failure])
                start += size

        found: list[Scored] = list(backend.predict(batches()))
        assert [len(one.logits) for one in found] == sizes
        assert np.concatenate([one.batch.indices for one in found]).tolist() == list(range(15))
        assert [one.batch.failures[0].index for one in found] == [100, 103, 103, 104, 113]

    def test_the_same_image_gets_the_same_bits_twice(self, backend: Backend) -> None:
        images = pictures(5)
        np.testing.assert_array_equal(scores(backend, images), scores(backend, images))

    def test_an_image_gets_the_same_bits_whatever_its_slot_and_neighbours(
        self, backend: Backend
    ) -> None:
        images = pictures(5)  # a request of four, and one more
        together = scores(backend, images)
        alone = np.concatenate([scores(backend, images[k : k + 1]) for k in range(5)])
        backwards = scores(backend, images[::-1].copy())[::-1]
        np.testing.assert_array_equal(together, alone)
        np.testing.assert_array_equal(together, backwards)

    def test_different_images_get_different_scores(self, backend: Backend) -> None:
        assert len(np.unique(scores(backend, pictures(6)), axis=0)) == 6

    def test_it_does_not_write_into_the_images(self, backend: Backend) -> None:
        images = pictures(2)
        kept = images.copy()
        scores(backend, images)
        np.testing.assert_array_equal(images, kept)
