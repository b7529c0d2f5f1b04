"""A damaged archive never ends a walk in an error, and no member gets bytes of another one."""

import gzip
import os
import random
import zipfile
import zlib
from pathlib import Path

import pytest
from backports import zstd

from hambatch.sources.archives.member import Found, Member
from tests.conftest import jpeg_bytes
from tests.sources.archives.making import read, tar_of, walked_here, zip_of

ONE, TWO = jpeg_bytes(1)[:60], jpeg_bytes(2)[:700]
NAMED = [("a.jpg", ONE), ("b/c.jpg", TWO), ("note.txt", b"words"), ("d.jpg", b"")]

KINDS = {
    "stored.zip": zip_of(NAMED),
    "deflated.zip": zip_of(NAMED, zipfile.ZIP_DEFLATED),
    "zip in a zip": zip_of([*NAMED, ("in.zip", zip_of([("x.jpg", TWO)]))]),
    "tar": tar_of(NAMED),
    "tar in a tar": tar_of([*NAMED, ("in.tar", tar_of([("x.jpg", TWO)])[:2560])]),
    "tar.gz": gzip.compress(tar_of(NAMED)),
    "tar.zst": zstd.compress(tar_of(NAMED)),
}
"""Small archives by their kind."""

WANTED = {**dict(NAMED), "in.zip!/x.jpg": TWO, "in.tar!/x.jpg": TWO}


def checked(path: Path) -> list[Found]:
    """Walk it and read it; every member that can be read has its own bytes."""
    found = walked_here(path, nested=True)
    content = read(path, found)
    for name, had in content.items():
        assert isinstance(had, str) or had == WANTED[name], name
        assert not isinstance(had, str) or had.startswith(("member ", "archive ")), had
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_cut_off_at_any_byte_it_says_so(tmp_path: Path, kind: str) -> None:
    whole, path = KINDS[kind], tmp_path / "archive"
    path.write_bytes(whole)
    assert all(one.member for one in checked(path))
    # A tar is whole with two blocks of zeros; what follows them only fills it up.
    end = len(whole.rstrip(b"\0")) // 512 * 512 + 1536 if kind.startswith("tar") else len(whole)
    end = len(whole) if "." in kind else end
    for size in range(end - 1, 0, -1):
        os.truncate(path, size)
        *members, last = checked(path)
        assert last.name == "", size
        assert last.problem, size
        names = [one.name for one in members if one.member]
        assert names == [name for name in WANTED if name in names]


def test_a_tar_cut_between_two_members_is_incomplete(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar_of(NAMED)[:1024])
    first, last = checked(path)
    assert (first.name, bool(first.member)) == ("a.jpg", True)
    assert last.problem == (
        "archive is damaged: it ends at byte 1024 without the two blocks of zeros that end a tar: "
        "it was cut off"
    )


def test_a_cut_behind_an_inner_zip_is_not_taken_for_that_zip(tmp_path: Path) -> None:
    inner, path = zip_of([("x.jpg", TWO)]), tmp_path / "a.zip"
    whole = zip_of([("a.jpg", ONE), ("in.zip", inner), ("b.jpg", ONE)])
    path.write_bytes(whole[: whole.find(inner) + len(inner)])
    (found,) = walked_here(path)
    assert found.problem.startswith("archive is damaged: its directory does not know")


def crc_fits(member: Member, content: bytes) -> bool:
    return member.crc32 is None or zlib.crc32(content) == member.crc32


def test_whatever_is_changed_what_is_read_is_what_the_listing_says(tmp_path: Path) -> None:
    chance, path, read_whole = random.Random(25), tmp_path / "archive", 0  # noqa: S311
    for kind in ("stored.zip", "deflated.zip", "zip in a zip", "tar", "tar.gz", "tar.zst"):
        for _ in range(50):
            content = bytearray(KINDS[kind])
            for _ in range(chance.choice((1, 1, 2, 8))):
                place = chance.randrange(len(content))
                action = chance.randrange(4)
                if action == 0:
                    content[place] ^= 1 << chance.randrange(8)
                elif action == 1:
                    content[place : place + 4] = chance.choice((b"\xff" * 4, bytes(4)))
                elif action == 2:
                    del content[place : place + chance.randrange(1, 600)]
                else:
                    start = chance.randrange(len(content))
                    content[place:place] = content[start : start + chance.randrange(1, 600)]
                if not content:
                    break
            path.write_bytes(content or b"x")
            for found in walked_here(path, nested=True):
                (had,) = read(path, [found]).values()
                if found.member and isinstance(had, bytes):
                    read_whole += 1
                    assert len(had) == found.member.size
                    assert crc_fits(found.member, had)
    assert read_whole > 200
