"""The backend of pictures gives every image its own pixels, and no scores."""

import numpy as np

from hambatch.backends import PIXELS, load_backend
from hambatch.engines.loading import load_engine
from hambatch.types import Batch


def test_pixels_pass_unchanged_and_an_empty_batch_stays_empty(tiny_engine):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 224, 224, 3), np.uint8)
    full = Batch(np.arange(3), images, ["x"] * 3, ["h"] * 3)
    empty = Batch(np.arange(0), images[:0], [], [])
    backend = load_backend(PIXELS, load_engine(tiny_engine), "fp32", 1)
    for batch, scored in zip((full, empty), backend.predict([full, empty]), strict=True):
        assert scored.batch is batch
        assert np.array_equal(scored.explained.images, batch.images)
        assert not scored.logits.any()
        assert len(scored.logits) == len(scored.explained.maps) == len(batch.images)
