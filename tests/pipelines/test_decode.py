"""The pixels that the model sees are the ones that the engine promises."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hambatch.errors import InputError
from hambatch.pipelines import decode as dali
from hambatch.pipelines.dali_lane import DaliLane
from hambatch.pipelines.pillow_lane import UndecodableImage, decode, resize_linear
from hambatch.sources.reading import Fetched
from tests.conftest import jpeg_bytes, png_bytes
from tests.pipelines.lanes import HOW, SPEC
from tests.pipelines.odd import as_jpeg, picture
from tests.pipelines.profiles import in_colours_of, profile

LANE = DaliLane(1, 1, SPEC, HOW)


def by_dali(content: bytes) -> np.ndarray:
    LANE.feed([Fetched(7, content, "")])
    indices, images = LANE.collect()
    assert indices.tolist() == [7]
    return np.array(images[0])


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


def test_paths_are_decoded_in_order_whatever_their_number(tmp_path: Path) -> None:
    contents = [jpeg_bytes(k, 96 + k) for k in range(dali.BATCH_SIZE + 3)]
    paths = [tmp_path / f"{k}.jpg" for k in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    found = dali.decode(paths, SPEC, HOW)
    np.testing.assert_array_equal(found, np.stack([by_dali(content) for content in contents]))


@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_a_path_that_cannot_be_decoded_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "good.jpg").write_bytes(jpeg_bytes(1))
    (tmp_path / "bad.jpg").write_bytes(content)
    with pytest.raises(InputError, match=r"good.jpg ... bad.jpg cannot be decoded"):
        dali.decode([tmp_path / "good.jpg", tmp_path / "bad.jpg"], SPEC, HOW)


def test_a_file_with_a_profile_is_decoded_as_srgb(tmp_path: Path) -> None:
    image = picture(5)
    tagged = as_jpeg(in_colours_of(image, "Adobe RGB"), icc_profile=profile("Adobe RGB"))
    (tmp_path / "plain.jpg").write_bytes(as_jpeg(image))
    (tmp_path / "tagged.jpg").write_bytes(tagged)
    paths = [tmp_path / "plain.jpg", tmp_path / "tagged.jpg"]
    plain, converted = dali.decode(paths, SPEC, HOW).astype(int)
    assert np.abs(plain - converted).mean() < 1.5
