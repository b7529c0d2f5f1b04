"""What each step does to pixels, against NumPy and Pillow; a step that is off changes nothing."""

import io

import numpy as np
import pytest
from PIL import Image

from hambatch.pipelines.appearance import SHARPEST, Look, Looks
from hambatch.pipelines.training import training_batches
from tests.conftest import jpeg_bytes
from tests.pipelines.lanes import HOW, SPEC

FILES = [jpeg_bytes(k, width=300 + k, height=225) for k in range(3)]
SIDE = 224
EVERY = Looks(*[True] * len(Looks._fields))
UNCHANGED = Look(blur=SHARPEST, side=SIDE)


class Views:
    """Whole images with looks and overlays of their own, and no other change."""

    def __init__(self, *looks: Look, overlay: np.ndarray | None = None) -> None:
        self._looks, self._overlay = looks, overlay

    def __len__(self) -> int:
        return len(FILES)

    def name(self, index: int) -> str:
        return f"file {index}"

    def encoded(self, index: int) -> np.ndarray:
        return np.frombuffer(FILES[index], np.uint8)

    def matrix(self, index: int) -> np.ndarray:
        return np.eye(2, 3, dtype=np.float32)

    def colours(self, index: int) -> np.ndarray:
        return np.array((1, 1, 1, 0), np.float32)

    def hole(self, index: int) -> np.ndarray:
        return np.zeros(4, np.float32)

    def look(self, index: int) -> np.ndarray:
        return self._looks[index % len(self._looks)].array()

    def overlay(self, index: int) -> np.ndarray:
        if self._overlay is None:
            return np.zeros((SIDE, SIDE, 4), np.uint8)
        return self._overlay


def seen(*looks: Look, steps: Looks = EVERY, overlay: np.ndarray | None = None) -> np.ndarray:
    views = Views(*(looks or (UNCHANGED,)), overlay=overlay)
    batches = training_batches(views, 3, SPEC, HOW, jitter=True, looks=steps)
    return np.concatenate(list(batches)).astype(int)


@pytest.fixture(scope="module")
def plain() -> np.ndarray:
    return seen(steps=Looks())


def test_all_steps_at_nothing_change_nothing(plain: np.ndarray) -> None:
    np.testing.assert_array_equal(seen(), plain)


def test_the_illuminant_is_taken_out_as_far_as_the_strength_says(plain: np.ndarray) -> None:
    norms = ((plain / 255.0) ** 6).mean(axis=(1, 2)) ** (1 / 6) + 1e-3
    gains = norms.mean(axis=1, keepdims=True) / norms
    for strength in (0.5, 1.0):
        found = seen(UNCHANGED._replace(constancy=strength))
        wanted = np.clip(plain * (gains**strength)[:, None, None], 0, 255)
        assert np.abs(found - wanted).max() <= 0.51
    after = ((found / 255.0) ** 6).mean(axis=(1, 2)) ** (1 / 6)
    assert np.ptp(after, axis=1).max() < 0.5 * np.ptp(norms, axis=1).max()


def test_channels_are_multiplied(plain: np.ndarray) -> None:
    found = seen(UNCHANGED._replace(red=1.3, blue=0.5))
    assert np.abs(found - np.clip(plain * [1.3, 1.0, 0.5], 0, 255)).max() <= 0.51


def test_a_blur_and_a_smaller_side_take_detail_away(plain: np.ndarray) -> None:
    def detail(images: np.ndarray) -> float:
        return float(np.abs(np.diff(images, 2, axis=2)).mean())

    for look in (UNCHANGED._replace(blur=3.0), UNCHANGED._replace(side=56)):
        found = seen(look)
        assert found.shape == plain.shape
        assert detail(found) < 0.7 * detail(plain)
        assert np.abs(found.mean(axis=(1, 2)) - plain.mean(axis=(1, 2))).max() < 1


def test_a_jpeg_of_low_quality_is_about_pillows(plain: np.ndarray) -> None:
    found = seen(UNCHANGED._replace(quality=10), UNCHANGED, UNCHANGED)
    stream = io.BytesIO()
    Image.fromarray(plain[0].astype(np.uint8)).save(stream, "JPEG", quality=10)
    wanted = np.asarray(Image.open(stream)).astype(int)
    assert np.abs(found[0] - wanted).mean() < 0.6 * np.abs(plain[0] - wanted).mean()
    np.testing.assert_array_equal(found[1:], plain[1:])


def test_an_overlay_is_painted_as_opaque_as_it_says(plain: np.ndarray) -> None:
    overlay = np.zeros((SIDE, SIDE, 4), np.uint8)
    overlay[:50, :, :] = (200, 10, 30, 255)
    overlay[50:100] = (0, 0, 0, 51)
    for steps in (EVERY, Looks(overlay=True)):
        found = seen(steps=steps, overlay=overlay)
        assert (found[:, :50] == (200, 10, 30)).all()
        assert np.abs(found[:, 50:100] - 0.8 * plain[:, 50:100]).max() <= 0.51
        np.testing.assert_array_equal(found[:, 100:], plain[:, 100:])
