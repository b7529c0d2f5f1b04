"""Which profiles act as sRGB, and that verdicts are kept within bounds."""

import io

import numpy as np
import pytest
from PIL import Image

from hambatch.pipelines import srgb
from hambatch.pipelines.colour_profile import ADOBE_GAMMA, ADOBE_RGB, SRGB, matrix_profile
from hambatch.pipelines.srgb import acts_as_srgb, foreign_profile, rgb_pixels
from tests.pipelines.odd import as_jpeg, picture
from tests.pipelines.profiles import in_colours_of, profile, srgb_of_littlecms


@pytest.mark.parametrize("made", [profile("sRGB"), srgb_of_littlecms(), matrix_profile(SRGB, 0.0)])
def test_every_srgb_is_one_whoever_wrote_it(made: bytes) -> None:
    assert acts_as_srgb(made)


@pytest.mark.parametrize(
    "made", [profile("Display P3"), profile("Adobe RGB"), matrix_profile(SRGB, 2.2)]
)
def test_a_profile_that_changes_colours_is_none(made: bytes) -> None:
    assert not acts_as_srgb(made)


def test_the_profile_made_for_exif_acts_as_the_published_one() -> None:
    image = in_colours_of(picture(), "Adobe RGB")
    both = profile("Adobe RGB"), matrix_profile(ADOBE_RGB, ADOBE_GAMMA)
    one, other = (rgb_pixels(image, made).astype(int) for made in both)
    assert np.abs(one - other).max() <= 1


def test_a_cmyk_picture_with_a_profile_of_rgb_is_not_guessed_at() -> None:
    content = as_jpeg(picture().convert("CMYK"), icc_profile=profile("Adobe RGB"))
    with (
        Image.open(io.BytesIO(content)) as image,
        pytest.raises(srgb.UnusableProfile, match="'RGB' on an image of 'CMYK'"),
    ):
        rgb_pixels(image, foreign_profile(content))


def test_verdicts_are_kept_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srgb, "VERDICTS_AT_MOST", 2)
    for number in range(4):
        assert not foreign_profile(as_jpeg(picture(), icc_profile=profile("sRGB", 4 + number)))
        assert len(srgb._VERDICTS) <= 2


def test_without_littlecms_the_row_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srgb.features, "check", lambda name: False)
    with pytest.raises(srgb.UnusableProfile, match="this Pillow has no LittleCMS"):
        foreign_profile(as_jpeg(picture(), icc_profile=profile("sRGB")))
