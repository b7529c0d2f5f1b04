"""Hashes, thumbnails, and the search: copies are found, other images are not."""

import time

import numpy as np
import pytest
from PIL import Image

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.ham10000.perceptual_hash import (
    LEAST_PACKED_CORRELATION,
    PACKED_BYTES,
    Signatures,
    grey_thumbnails,
    near_pairs,
    packed,
    pairs_apart,
    perceptual_hashes,
    signatures_of,
    thumbnails,
    unpacked,
)
from hambatch.pipelines.decode import decode
from hambatch.system.files import sha256_of_bytes
from tests.ham10000.images import COPIES, MISSED, encoded, picture


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


def files(place, *seeds):
    found = {}
    for seed in seeds:
        content = encoded(picture(seed))
        path = place / f"{seed}.jpg"
        path.write_bytes(content)
        found[sha256_of_bytes(content)] = path
    return found


def test_they_are_of_the_pixels_that_scoring_sees(tmp_path):
    these = files(tmp_path, 10, 11)
    found = thumbnails(these)
    assert list(found) == list(these)
    wanted = grey_thumbnails(decode(list(these.values()), InputSpec(), Preprocessing()))
    np.testing.assert_array_equal(np.stack(list(found.values())), wanted)


def test_they_are_decoded_once(tmp_path):
    these = files(tmp_path, 12, 13)
    before = thumbnails(these)
    for path in these.values():
        path.unlink()
    again = thumbnails(these)
    assert again.keys() == before.keys()
    for digest, pixels in before.items():
        np.testing.assert_array_equal(again[digest], pixels)


def test_damaged_missing_and_altered_files_have_none_and_cost_no_other(tmp_path):
    these = files(tmp_path, 14, 15, 16, 17)
    good, damaged, missing, altered = these
    these[missing].unlink()
    these[altered].write_bytes(encoded(picture(18)))
    content = these[damaged].read_bytes()[:200]
    these[damaged].write_bytes(content)
    these[sha256_of_bytes(content)] = these.pop(damaged)
    assert list(thumbnails(these)) == [good]


def test_of_no_files_there_are_none():
    assert thumbnails({}) == {}


def signatures(place, contents):
    files = {}
    for k, content in enumerate(contents):
        path = place / f"{k}.jpg"
        path.write_bytes(content)
        files[sha256_of_bytes(content)] = path
    seen = thumbnails(files)
    return signatures_of(np.stack([seen[digest] for digest in files]))


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_is_found(tmp_path, change):
    others = [encoded(picture(seed)) for seed in range(1, 6)]
    found = signatures(tmp_path, [encoded(picture(0)), *others, COPIES[change](picture(0))])
    assert pairs_apart(found, list("abcdefg")).tolist() == [[0, 6]]


@pytest.mark.parametrize("change", MISSED)
def test_what_the_docs_say_is_missed_is_missed(tmp_path, change):
    found = signatures(tmp_path, [encoded(picture(0)), MISSED[change](picture(0))])
    assert not len(pairs_apart(found, "ab"))


def test_copies_are_found_by_what_a_list_of_training_images_keeps_of_them(tmp_path):
    files = {}
    for k, change in enumerate([encoded, *COPIES.values(), *MISSED.values()]):
        content = change(picture(0))
        (tmp_path / f"{k}.jpg").write_bytes(content)
        files[sha256_of_bytes(content)] = tmp_path / f"{k}.jpg"
    rows = packed(np.stack(list(thumbnails(files).values())))
    assert rows.shape == (len(files), PACKED_BYTES)
    found = near_pairs(unpacked(rows[:1]), unpacked(rows), LEAST_PACKED_CORRELATION)
    assert found[:, 1].tolist() == list(range(1 + len(COPIES)))
    plain = unpacked(packed(np.full((1, 32, 32), 90, np.uint8)))
    assert not len(near_pairs(plain, plain, LEAST_PACKED_CORRELATION))


def test_a_pair_on_one_side_is_none(tmp_path):
    copies = [change(picture(0)) for change in list(COPIES.values())[:3]]
    found = signatures(tmp_path, copies)
    assert pairs_apart(found, ["train", "train", "val"]).tolist() == [[0, 2], [1, 2]]


def test_a_hash_alone_does_not_make_a_pair():
    draw = np.random.default_rng(0)
    shapes = draw.normal(size=(2, 1024)).astype(np.float32)
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    same_hash = Signatures(np.array([7, 7], np.uint64), shapes)
    assert not len(pairs_apart(same_hash, "ab"))


def test_plain_pictures_are_like_none():
    grey = np.full((2, 32, 32), 90, np.uint8)
    assert not len(pairs_apart(signatures_of(grey), "ab"))


def test_two_sets_are_compared_by_their_places():
    draw = np.random.default_rng(1)
    some = signatures_of(draw.integers(0, 256, (5, 32, 32), np.uint8))
    other = Signatures(some.hashes[[4, 1]], some.shapes[[4, 1]])
    assert near_pairs(some, other).tolist() == [[1, 1], [4, 0]]


def test_ten_thousand_are_compared_in_seconds():
    draw = np.random.default_rng(2)
    many = signatures_of(draw.integers(0, 256, (10_000, 32, 32), np.uint8))
    started = time.process_time()
    assert not len(pairs_apart(many, [str(k) for k in range(10_000)]))
    assert time.process_time() - started < 20
