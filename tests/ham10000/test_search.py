"""Copies are found whatever was done to their encoding; other pictures are not."""

import time

import numpy as np
import pytest

from hambatch.ham10000.perceptual_hash import Looks, looks_of, near_pairs, pairs_apart, thumbnails
from hambatch.system.files import sha256_of_bytes
from tests.ham10000.pictures import COPIES, MISSED, encoded, picture


def looks(place, contents):
    files = {}
    for k, content in enumerate(contents):
        path = place / f"{k}.jpg"
        path.write_bytes(content)
        files[sha256_of_bytes(content)] = path
    seen = thumbnails(files)
    return looks_of(np.stack([seen[digest] for digest in files]))


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_is_found(tmp_path, change):
    others = [encoded(picture(seed)) for seed in range(1, 6)]
    found = looks(tmp_path, [encoded(picture(0)), *others, COPIES[change](picture(0))])
    assert pairs_apart(found, list("abcdefg")).tolist() == [[0, 6]]


@pytest.mark.parametrize("change", MISSED)
def test_what_the_docs_say_is_missed_is_missed(tmp_path, change):
    found = looks(tmp_path, [encoded(picture(0)), MISSED[change](picture(0))])
    assert not len(pairs_apart(found, "ab"))


def test_a_pair_on_one_side_is_none(tmp_path):
    copies = [change(picture(0)) for change in list(COPIES.values())[:3]]
    found = looks(tmp_path, copies)
    assert pairs_apart(found, ["train", "train", "val"]).tolist() == [[0, 2], [1, 2]]


def test_a_hash_alone_does_not_make_a_pair():
    draw = np.random.default_rng(0)
    shapes = draw.normal(size=(2, 1024)).astype(np.float32)
    shapes /= np.linalg.norm(shapes, axis=1, keepdims=True)
    same_hash = Looks(np.array([7, 7], np.uint64), shapes)
    assert not len(pairs_apart(same_hash, "ab"))


def test_plain_pictures_are_like_none():
    grey = np.full((2, 32, 32), 90, np.uint8)
    assert not len(pairs_apart(looks_of(grey), "ab"))


def test_two_sets_are_compared_by_their_places():
    draw = np.random.default_rng(1)
    some = looks_of(draw.integers(0, 256, (5, 32, 32), np.uint8))
    other = Looks(some.hashes[[4, 1]], some.shapes[[4, 1]])
    assert near_pairs(some, other).tolist() == [[1, 1], [4, 0]]


def test_ten_thousand_are_compared_in_seconds():
    draw = np.random.default_rng(2)
    many = looks_of(draw.integers(0, 256, (10_000, 32, 32), np.uint8))
    started = time.process_time()
    assert not len(pairs_apart(many, [str(k) for k in range(10_000)]))
    assert time.process_time() - started < 20
