"""Which images are taken, and that bad ones are left out and counted."""

from pathlib import Path

import pytest

from hambatch.checks.parity.paths import scorable, take_images
from hambatch.errors import InputError
from tests.checks.parity.made_parity import failed, row


def test_images_are_spread_evenly_over_the_listing(image_folder: Path) -> None:
    every = take_images(image_folder, 1000)
    assert (len(every.names), every.listed) == (24, 24)
    some = take_images(image_folder, 6)
    assert (some.names, some.listed) == (every.names[::4], 24)
    assert len(take_images(image_folder, 17).names) == 17


def test_an_empty_folder_is_refused_with_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no JPEG or PNG image in .*\nNext: "):
        take_images(tmp_path, 64)


def test_bad_images_are_left_out_by_reason(tmp_path: Path) -> None:
    found = scorable([row("a.jpg"), failed("b.jpg"), failed("c.jpg")], tmp_path)
    assert found.names == ("a.jpg",)
    assert dict(found.left_out) == {"cannot be decoded: junk": 2}


def test_a_folder_of_bad_images_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"none of the 1 images .* cannot be decoded: junk\.\nNext:"
    ):
        scorable([failed("b.jpg")], tmp_path)
