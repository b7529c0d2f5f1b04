"""The hash is the published one, and few of its bits follow the encoding."""

import numpy as np
from PIL import Image

from hambatch.ham10000.perceptual_hash import grey_thumbnails, perceptual_hashes
from tests.ham10000.pictures import picture


def images(*seeds):
    return np.stack([np.asarray(picture(seed).resize((224, 224))) for seed in seeds])


def test_thumbnails_are_the_mean_luma_of_blocks():
    whole = images(1)
    thumbnail = grey_thumbnails(whole)[0]
    wanted = Image.fromarray(whole[0]).convert("L").resize((32, 32), Image.Resampling.BOX)
    assert thumbnail.shape == (32, 32)
    assert np.abs(thumbnail.astype(int) - np.asarray(wanted).astype(int)).max() <= 1


def test_a_hash_is_the_signs_of_the_lowest_frequencies_about_their_median():
    thumbnail = grey_thumbnails(images(2))[0].astype(float)
    at = np.arange(32)
    wanted = []
    for down in range(8):
        for across in range(8):
            wave = np.outer(
                np.cos(np.pi * (2 * at + 1) * down / 64), np.cos(np.pi * (2 * at + 1) * across / 64)
            )
            wanted.append((thumbnail * wave).sum())
    bits = wanted > np.median(wanted[1:])
    found = perceptual_hashes(thumbnail[None].astype(np.uint8))
    np.testing.assert_array_equal(np.unpackbits(found.view(np.uint8)), bits)


def test_brightness_and_contrast_change_no_bit():
    thumbnails = grey_thumbnails(images(3, 4)) // 2
    np.testing.assert_array_equal(perceptual_hashes(thumbnails), perceptual_hashes(thumbnails + 40))


def test_other_pictures_have_other_hashes():
    first, second = perceptual_hashes(grey_thumbnails(images(5, 6)))
    assert np.bitwise_count(first ^ second) > 12


def test_no_image_has_no_hash():
    assert perceptual_hashes(grey_thumbnails(np.empty((0, 224, 224, 3), np.uint8))).shape == (0,)
