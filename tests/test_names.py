"""File names survive the table."""

import os

import pytest

from hambatch.names import decode_name, encode_name


@pytest.mark.parametrize(
    "raw",
    [
        b"plain.jpg",
        b"50%.jpg",
        b"a%20b.jpg",
        b"caf\xe9.jpg",
        b"%\xff",
        b"%F\xff",
        b"%%41",
        b"%e9\xe9",
        b"two\r\nlines\x7f",
    ],
)
def test_every_name_round_trips_and_is_valid_text(raw: bytes) -> None:
    name = os.fsdecode(raw)
    text = encode_name(name)
    assert text.encode("utf-8").decode("utf-8") == text
    assert decode_name(text) == name


def test_ordinary_names_stay_as_they_are() -> None:
    for name in ("part_1/ISIC_0024306.jpg", "naïve 50%.jpg", "a b.png"):
        assert encode_name(name) == name


def test_two_names_never_share_a_text() -> None:
    names = [b"\xe9", b"%E9", b"%25E9", "é".encode()]
    assert len({encode_name(os.fsdecode(n)) for n in names}) == len(names)
