"""Thumbnails are of what the engine sees, decoded once; what nobody can see has none."""

import numpy as np

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.ham10000.perceptual_hash import grey_thumbnails, thumbnails
from hambatch.pipelines.decode import decode
from hambatch.system.files import sha256_of_bytes
from tests.ham10000.pictures import encoded, picture


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
