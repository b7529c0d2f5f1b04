"""File names survive the table, and do no harm to its reader."""

import os

import numpy as np
import pytest

from hambatch.system.text import decode_name, encode_name

FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"


@pytest.fixture(scope="module")
def names() -> list[str]:
    """Twenty thousand different file names, mostly of what needs care."""
    rng = np.random.default_rng(7)
    care = [b"=", b"+", b"-", b"@", b";", b",", b"|", b'"', b"'", b" ", b"%", b"3", b"D", b"a"]
    care += [c.encode() for c in FORMULA[4:] + "\u2028\x85\xe9\u3000\U0001f600"]
    care += [b"\t", b"\r", b"\n", b"\x7f", b"\xe9", b"\xef", b"\xbc", b"\x9d", b".", b"%3D", b"%25"]
    made = {
        b"".join(care[k] for k in rng.integers(len(care), size=1 + n % 9)) for n in range(22_000)
    }
    made |= {rng.integers(1, 256, 8, np.uint8).tobytes().replace(b"/", b"_") for _ in range(2_000)}
    return sorted(os.fsdecode(name) for name in made)


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
        b"=1+1.jpg",
        b"%3D.jpg",
    ],
)
def test_every_name_round_trips_and_is_valid_text(raw: bytes) -> None:
    name = os.fsdecode(raw)
    text = encode_name(name)
    assert text.encode("utf-8").decode("utf-8") == text
    assert decode_name(text) == name


def test_random_names_round_trip_as_valid_text(names: list[str]) -> None:
    for name in names:
        assert decode_name(encode_name(name).encode("utf-8").decode("utf-8")) == name


def test_random_names_share_no_text_and_no_place_in_the_order(names: list[str]) -> None:
    assert len(names) > 15_000
    assert len({encode_name(name) for name in names}) == len(names)
    by_key = sorted(names, key=encode_name)
    assert [encode_name(name) for name in by_key] == sorted(map(encode_name, names))


def test_random_names_stay_on_one_line(names: list[str]) -> None:
    for name in names:
        text = encode_name(name)
        assert text.splitlines() == [text]
        assert "\t" not in text


def test_no_cell_starts_a_formula_wherever_a_reader_splits_it(names: list[str]) -> None:
    for name in names:
        text = encode_name(name)
        for separator in ";,|\"'":
            for cell in text.split(separator):
                assert not cell.lstrip().startswith(tuple(FORMULA)), text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("=cmd|' /C calc'!A0.jpg", "%3Dcmd|' /C calc'!A0.jpg"),
        ("-1.jpg", "%2D1.jpg"),
        ("--.jpg", "%2D-.jpg"),
        ("  @SUM(A1).jpg", "  %40SUM(A1).jpg"),
        ("a;=1.jpg", "a;%3D1.jpg"),
        ("a; +1.jpg", "a; %2B1.jpg"),
        ("\uff1d1.jpg", "%EF%BC%9D1.jpg"),
        ("\t=1.jpg", "%09=1.jpg"),
    ],
)
def test_what_a_spreadsheet_would_run_is_percent_encoded(name: str, text: str) -> None:
    assert encode_name(name) == text
    assert decode_name(text) == name


@pytest.mark.parametrize(
    "name",
    [
        "part_1/ISIC_0024306.jpg",
        "naïve 50%.jpg",
        "a b.png",
        "ISIC-0001.jpg",
        "scan - 1.jpg",
        "a/=1.jpg",
        "x=1, y=2.jpg",
        "me@clinic.jpg",
        "C++.jpg",
    ],
)
def test_ordinary_names_stay_as_they_are(name: str) -> None:
    assert encode_name(name) == name


def test_two_names_never_share_a_text() -> None:
    names = [b"\xe9", b"%E9", b"%25E9", "é".encode()]
    assert len({encode_name(os.fsdecode(n)) for n in names}) == len(names)
