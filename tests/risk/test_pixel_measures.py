"""The measures follow what a person sees: blur, darkness, colour, borders."""

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from hambatch.engines.synthetic import synthesize
from hambatch.risk.pixel_measures import measure

LESION = synthesize(np.random.default_rng(5), 224, 224)


def scaled(factor: float) -> NDArray[np.uint8]:
    return np.clip(np.round(LESION * factor), 0, 255).astype(np.uint8)


def blurred(deviation: float) -> NDArray[np.uint8]:
    return np.array(Image.fromarray(LESION).filter(ImageFilter.GaussianBlur(deviation)))


def test_blur_lowers_the_sharpness_step_by_step() -> None:
    found = [measure(blurred(deviation)).sharpness for deviation in (0, 1, 2, 4)]
    assert found == sorted(found, reverse=True)
    assert found[0] - found[2] > 1


def test_half_the_light_is_half_of_the_brightness() -> None:
    whole, half = measure(LESION), measure(scaled(0.5))
    for name in ("light", "middle", "contrast"):
        assert getattr(half, name) == pytest.approx(getattr(whole, name) / 2, abs=1)
    assert (half.red, half.blue) == pytest.approx((whole.red, whole.blue), abs=0.03)


def test_swapped_channels_swap_the_colours() -> None:
    found, swapped = measure(LESION), measure(np.ascontiguousarray(LESION[..., ::-1]))
    assert (swapped.red, swapped.blue) == pytest.approx((found.blue, found.red))
    assert found.red != pytest.approx(found.blue, abs=0.01)


def test_shares_of_black_and_of_lost_light_are_areas() -> None:
    image = np.full((224, 224, 3), 128, np.uint8)
    image[:56] = 0
    image[-112:] = 255
    found = measure(image)
    assert (found.black, found.overexposed) == (0.25, 0.5)


def test_an_empty_frame_has_no_contrast_and_noise_has_grain() -> None:
    grey = measure(np.full((224, 224, 3), 90, np.uint8))
    assert (grey.contrast, grey.grain) == (0, 0)
    assert grey.sharpness == pytest.approx(np.log(0.01))
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    assert measure(noise).grain > 5 * measure(LESION).grain


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    grey = LESION[..., 1].astype(float)
    laplacian = (
        grey[1:-1, :-2] + grey[1:-1, 2:] + grey[:-2, 1:-1] + grey[2:, 1:-1] - 4 * grey[1:-1, 1:-1]
    )
    assert measure(LESION).sharpness == pytest.approx(np.log(laplacian.var() + 0.01))
