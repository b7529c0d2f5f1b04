"""Every member of a zip has its row, with its own bytes or with the reason why there are none."""

import struct
import zipfile
from pathlib import Path

import pytest

from hambatch.sources.archives.walking import kind_of_archive
from tests.conftest import jpeg_bytes
from tests.sources.archives.making import OneWay, scored, walked_here, zip_of

ONE, TWO = jpeg_bytes(1), jpeg_bytes(2)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.zip"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_bytes_are_those_that_zipfile_reads(path: Path, method: int) -> None:
    named = [("a.jpg", ONE), ("deep/er/b.jpg", TWO), ("empty.jpg", b""), ("zero.jpg", bytes(9999))]
    path.write_bytes(zip_of(named, method))
    assert scored(path) == dict(named)
    with zipfile.ZipFile(path) as archive:
        assert scored(path) == {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_sizes_behind_the_bytes_are_no_matter(path: Path, method: int) -> None:
    stream = OneWay()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("a.jpg", ONE)
        archive.writestr("b.jpg", TWO)
    path.write_bytes(stream.content)
    assert scored(path) == {"a.jpg": ONE, "b.jpg": TWO}


def test_zip64_is_read(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("a.jpg", "w", force_zip64=True) as stream:
            stream.write(ONE)
        archive.writestr("b.jpg", TWO)
    content = bytearray(path.read_bytes())
    end = content.rfind(b"PK\5\6")
    *_, entries, length, offset, _ = struct.unpack_from("<4s4H2LH", content, end)
    # The end and the entries as a program writes them that always uses 64 bits.
    first = content[offset:end]
    name = struct.unpack_from("<H", first, 28)[0]
    sizes = struct.unpack_from("<LL", first, 20)
    wide = struct.pack("<HHQQQ", 1, 24, sizes[1], sizes[0], 0)
    struct.pack_into("<LL", first, 20, 0xFFFFFFFF, 0xFFFFFFFF)
    struct.pack_into("<L", first, 42, 0xFFFFFFFF)
    struct.pack_into("<H", first, 30, len(wide))
    first[46 + name : 46 + name] = wide
    length += len(wide)
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, entries, length, offset)
    place = struct.pack("<4sLQL", b"PK\6\7", 0, offset + length, 1)
    last = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, *[0xFFFFFFFF] * 2, 0)
    whole = bytes(content[:offset]) + bytes(first) + end_64 + place + last
    path.write_bytes(whole)
    assert scored(path) == {"a.jpg": ONE, "b.jpg": TWO}
    path.write_bytes(b"#!/bin/sh\n" * 50 + whole)
    assert scored(path) == {"a.jpg": ONE, "b.jpg": TWO}


def test_more_than_65535_members_are_found(path: Path) -> None:
    """Their number does not fit into 16 bits; some programs write its lower half, and no zip64."""
    whole = zip_of([("a.jpg", b"")])
    path.write_bytes(repeated(whole, 66_000))
    assert len(walked_here(path)) == 66_000


def test_names_are_utf_8_or_code_page_437(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("läsion_1.jpg", ONE)
        archive.writestr("病变.jpg", TWO)
        # As PKZIP on DOS writes it: bytes of code page 437, and no flag.
        old = zipfile.ZipInfo("l_sion_2.jpg")
        old.create_system = 0
        archive.writestr(old, TWO)
    content = path.read_bytes().replace(b"l_sion_2", "läsion_2".encode("cp437"))
    path.write_bytes(content)
    assert scored(path) == {"läsion_1.jpg": ONE, "病变.jpg": TWO, "läsion_2.jpg": TWO}


def test_a_name_that_is_no_utf_8_although_it_says_so_is_kept(path: Path) -> None:
    path.write_bytes(zip_of([("é.jpg", ONE)]).replace("é".encode(), b"\xe9x"))
    assert scored(path) == {"\udce9x.jpg": ONE}


def test_bytes_before_and_a_comment_behind_are_passed_over(path: Path) -> None:
    whole = zip_of([("a.jpg", ONE)], comment=b"the signature PK\5\6 in a comment" + bytes(40))
    for before in (b"", b"MZ a program that unpacks itself" * 99):
        path.write_bytes(before + whole)
        assert kind_of_archive(path) == "zip"
        assert scored(path) == {"a.jpg": ONE}


def test_paths_that_lead_out_are_names_and_nothing_is_written(path: Path) -> None:
    names = ["../../out.jpg", "/etc/absolute.jpg", "C:\\windows\\a.jpg", "a/../../b.jpg"]
    path.write_bytes(zip_of((name, ONE) for name in names))
    before = sorted(path.parent.parent.rglob("*"))
    assert scored(path) == dict.fromkeys(names, ONE)
    assert sorted(path.parent.parent.rglob("*")) == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_two_rows_with_their_own_bytes(path: Path) -> None:
    path.write_bytes(zip_of([("a.jpg", ONE), ("a.jpg", TWO)]))
    found = walked_here(path)
    assert [one.name for one in found] == ["a.jpg", "a.jpg"]
    assert found[0].member != found[1].member
    assert scored(path) == {"a.jpg": TWO}


def patched(content: bytes, flags: int = 0, method: int | None = None) -> bytes:
    """Set flags and method of the last member, in both of its headers."""
    changed = bytearray(content)
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = changed.rfind(signature) + place
        old_flags, old_method = struct.unpack_from("<HH", changed, start)
        new = old_flags | flags, old_method if method is None else method
        struct.pack_into("<HH", changed, start, *new)
    return bytes(changed)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"flags": 1}, "member is encrypted"),
        ({"method": 9}, "member is compressed by Deflate64, wanted stored or deflated"),
        ({"method": 12}, "member is compressed by bzip2, wanted stored or deflated"),
        ({"method": 77}, "member is compressed by method 77, wanted stored or deflated"),
    ],
)
def test_what_cannot_be_read_says_why_and_the_others_are_scored(
    path: Path, change: dict[str, int], reason: str
) -> None:
    path.write_bytes(patched(zip_of([("a.jpg", ONE), ("b.jpg", TWO)]), **change))
    assert scored(path) == {"a.jpg": ONE, "b.jpg": reason}


def test_a_symbolic_link_says_so_and_folders_get_no_row(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("folder")
        archive.writestr("folder/a.jpg", ONE)
        link = zipfile.ZipInfo("link.jpg")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "folder/a.jpg")
    assert scored(path) == {"folder/a.jpg": ONE, "link.jpg": "member is a symbolic link"}


def test_a_wrong_crc_is_a_failed_row_and_nobody_elses(path: Path) -> None:
    content = bytearray(zip_of([("a.jpg", ONE), ("b.jpg", TWO)]))
    content[content.find(TWO) + 100] ^= 1
    path.write_bytes(content)
    reason = "member is damaged: it has not the CRC-32 that the archive states"
    assert scored(path) == {"a.jpg": ONE, "b.jpg": reason}


def test_a_size_that_lies_allocates_nothing(path: Path) -> None:
    content = bytearray(zip_of([("a.jpg", ONE), ("b.jpg", TWO)], zipfile.ZIP_DEFLATED))
    struct.pack_into("<L", content, content.rfind(b"PK\1\2") + 24, 1 << 30)
    path.write_bytes(content)
    found = scored(path)
    assert found["a.jpg"] == ONE
    assert "member would inflate to 1073.7 MB from 0.0 MB" in str(found["b.jpg"])
    assert "--max-ratio" in str(found["b.jpg"])
    stored = bytearray(zip_of([("a.jpg", ONE), ("b.jpg", TWO)]))
    struct.pack_into("<LL", stored, stored.rfind(b"PK\1\2") + 20, 1 << 30, 1 << 30)
    path.write_bytes(stored)
    outside = "member would lie outside of the archive's data"
    assert scored(path) == {"a.jpg": ONE, "b.jpg": outside}


def test_bombs_are_refused_before_they_are_inflated(path: Path) -> None:
    path.write_bytes(
        zip_of([("a.jpg", ONE), ("bomb.jpg", bytes(10**6)), ("c.jpg", TWO)], zipfile.ZIP_DEFLATED)
    )
    found = {one.name: one.problem for one in walked_here(path, max_ratio=100)}
    assert found.pop("bomb.jpg") == (
        "member would inflate to 1.0 MB from 0.0 MB, the limit is 100 times (--max-ratio)"
    )
    assert found == {"a.jpg": "", "c.jpg": ""}


def repeated(whole: bytes, count: int) -> bytes:
    """Name the only member of a zip so many times in its directory."""
    place = whole.find(b"PK\1\2")
    entry = whole[place : whole.find(b"PK\5\6")]
    counts = [count & 0xFFFF] * 2
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, *counts, count * len(entry), place, 0)
    return whole[:place] + count * entry + end


def test_members_that_share_their_bytes_are_limited_together(path: Path) -> None:
    """As in the bomb of D. Fifield, whose members overlap: each alone is within the limit."""
    path.write_bytes(repeated(zip_of([("a.jpg", bytes(200_000))], zipfile.ZIP_DEFLATED), 40))
    problems = [one.problem for one in walked_here(path, max_ratio=1000)]
    refused = [problem for problem in problems if problem]
    assert problems[0] == ""
    assert refused
    assert all("--max-ratio" in problem for problem in refused)


def test_an_archive_in_an_archive_is_walked_in_place_or_counted(path: Path) -> None:
    inner = zip_of([("x.jpg", TWO), ("y.txt", b"")], zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", ONE)
        archive.writestr("in.zip", inner)
        archive.writestr("packed.zip", inner, zipfile.ZIP_DEFLATED)
        archive.writestr("twice.zip", zip_of([("in.zip", inner)]))
        archive.writestr("broken.zip", inner[:-30])
    assert scored(path) == {"a.jpg": ONE}
    found = scored(path, nested=True)
    assert found.pop("a.jpg") == ONE
    assert found.pop("in.zip!/x.jpg") == TWO
    assert found == {
        "packed.zip": "member is an archive that is compressed: unpack it first and score it alone",
        "broken.zip": "archive is damaged: it has no central directory at its end: it was cut off",
    }
