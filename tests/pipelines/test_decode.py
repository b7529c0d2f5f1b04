"""The pixels that the model sees are the ones that the engine promises."""

import io

import numpy as np
import pytest
from PIL import Image

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines.dali_lane import DaliLane
from hambatch.pipelines.pillow_lane import UndecodableImage, decode, resize_linear
from hambatch.sources.reading import Fetched
from tests.conftest import jpeg_bytes, png_bytes

SPEC, HOW = InputSpec(), Preprocessing()


def by_dali(content: bytes) -> np.ndarray:
    lane = DaliLane(1, 1, SPEC, HOW)
    lane.feed([Fetched(7, content, "")])
    indices, images = lane.collect()
    assert indices.tolist() == [7]
    return images[0]


@pytest.mark.parametrize("size", [(96, 72), (600, 450), (450, 600), (100, 300), (224, 224)])
@pytest.mark.parametrize("make", [jpeg_bytes, png_bytes])
def test_pillow_and_dali_agree_to_one_level(make: object, size: tuple[int, int]) -> None:
    content = make(3, *size)  # type: ignore[operator]
    difference = np.abs(by_dali(content).astype(int) - decode(content, SPEC, HOW).astype(int))
    assert difference.max() <= 1


def test_an_image_of_the_engines_size_is_not_touched() -> None:
    content = png_bytes(1, 224, 224)
    np.testing.assert_array_equal(by_dali(content), np.asarray(Image.open(io.BytesIO(content))))


def test_resize_equals_tensorflow_to_rounding() -> None:
    tf = pytest.importorskip("tensorflow")
    pixels = np.random.default_rng(0).integers(0, 256, (450, 600, 3), np.uint8)
    wanted = tf.image.resize(pixels, (224, 224)).numpy()
    assert np.abs(resize_linear(pixels, 224, 224) - wanted).max() <= 0.51


def test_what_is_no_image_is_undecodable_with_a_reason_that_is_the_same_every_time() -> None:
    reasons = set()
    for _ in range(2):
        with pytest.raises(UndecodableImage) as caught:
            decode(b"no image at all", SPEC, HOW)
        reasons.add(str(caught.value))
    assert reasons == {"cannot be decoded: cannot identify image file"}
