"""Paths on standard input: lines, or parts that end with a byte 0, whatever their bytes are."""

import io

import pytest

from hambatch.errors import InputError
from hambatch.sources.standard_input import LONGEST, read_paths


def paths(content: bytes, *, null: bool = False) -> list[str]:
    return list(read_paths(io.BytesIO(content), null=null))


@pytest.mark.parametrize(
    "content",
    [
        b"a.jpg\nb c/d.jpg\n",
        b"a.jpg\nb c/d.jpg",
        b"\n\na.jpg\n \t\nb c/d.jpg\n\n",
        b"a.jpg\r\nb c/d.jpg\r\n\r\n",
        b"\xef\xbb\xbfa.jpg\nb c/d.jpg\n",
    ],
)
def test_each_line_is_a_path(content: bytes) -> None:
    assert paths(content) == ["a.jpg", "b c/d.jpg"]


def test_a_byte_0_ends_a_path_that_may_hold_all_others() -> None:
    found = paths(b" a\nb.jpg\0\0c\r\0\xef\xbb\xbf\xff", null=True)
    assert found == [" a\nb.jpg", "c\r", "\ufeff\udcff"]


def test_spaces_and_bytes_that_are_no_text_belong_to_the_path() -> None:
    assert paths(b" caf\xe9 .jpg \n\xc3\xa9") == [" caf\udce9 .jpg ", "\u00e9"]


@pytest.mark.parametrize("null", [False, True])
def test_a_path_may_lie_anywhere_between_what_is_read_at_once(null: bool) -> None:
    wanted = [f"{k:0{1 + k * 7919 % LONGEST}d}" for k in range(40)]
    end = "\0" if null else "\n"
    assert paths(end.join(wanted).encode(), null=null) == wanted


@pytest.mark.parametrize(
    ("content", "null", "words"),
    [
        (b"a\n" + b"x" * (LONGEST + 1), False, ("path 2", "begins 'xxx", "one path a line")),
        (b"a.jpg\n" * LONGEST, True, ("path 1", "begins 'a.jpg%0Aa", "leave -0 out")),
        (b"a.jpg\0b.jpg\0", False, ("a byte 0 in path 1", "add -0")),
        ("a.jpg\n".encode("utf-16"), False, ("a byte 0 in path 1", "UTF-8")),
        (b"", False, ("no path", "Next: find ")),
        (b"\n \n", False, ("no path", "Next: find ")),
        (b"\0", True, ("no path", "Next: find ")),
    ],
)
def test_what_is_no_list_of_paths_is_refused(
    content: bytes, null: bool, words: tuple[str, ...]
) -> None:
    with pytest.raises(InputError) as refused:
        paths(content, null=null)
    for word in words:
        assert word in str(refused.value)


def test_an_endless_line_is_not_read_to_its_end() -> None:
    endless = io.BytesIO(b"x" * 10 * LONGEST)
    with pytest.raises(InputError):
        list(read_paths(endless, null=False))
    assert endless.tell() <= 2 * LONGEST
