"""Every member of a tar has its row, whatever the format, plain or compressed."""

import gzip
import io
import tarfile
from pathlib import Path

import pytest
from backports import zstd

from tests.conftest import jpeg_bytes
from tests.sources.archives.making import info, scored, tar_of, walked_here

ONE, TWO = jpeg_bytes(1), jpeg_bytes(2)

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]

PACKED = {
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tar.zst": zstd.compress,
    "gz in two parts": lambda content: gzip.compress(content[:700]) + gzip.compress(content[700:]),
    "zst in two frames": lambda content: (
        zstd.compress(content[:700]) + zstd.compress(content[700:])
    ),
    "gz filled up": lambda content: gzip.compress(content) + bytes(3000),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.tar"


@pytest.mark.parametrize("tar_format", FORMATS)
@pytest.mark.parametrize("packed", PACKED)
def test_the_bytes_are_those_that_were_put_in(path: Path, tar_format: int, packed: str) -> None:
    named = [
        ("a.jpg", ONE),
        ("deep/er/é.jpg", TWO),
        (f"{'long/' * 30}{'x' * 80}.jpg", ONE),
        ("empty.jpg", b""),
        ("block.jpg", bytes(512)),
    ]
    path.write_bytes(PACKED[packed](tar_of(named, tar_format)))
    assert scored(path) == dict(named)


@pytest.mark.parametrize("tar_format", FORMATS[1:])
def test_names_longer_than_a_header_holds_are_whole(path: Path, tar_format: int) -> None:
    name = f"{'n' * 250}/{'x' * 250}.jpg"
    path.write_bytes(tar_of([(name, ONE)], tar_format))
    assert scored(path) == {name: ONE}


def test_kinds_without_bytes_say_so_and_folders_get_no_row(path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(info("folder", type=tarfile.DIRTYPE))
        archive.addfile(info("hard.jpg", type=tarfile.LNKTYPE, linkname="a.jpg"))
        archive.addfile(info("soft.jpg", type=tarfile.SYMTYPE, linkname="a.jpg"))
        archive.addfile(info("device.jpg", type=tarfile.CHRTYPE))
        archive.addfile(info("fifo.jpg", type=tarfile.FIFOTYPE))
        archive.addfile(info("fifo.txt", type=tarfile.FIFOTYPE))
        archive.addfile(info("folder/a.jpg", size=len(ONE)), io.BytesIO(ONE))
    path.write_bytes(stream.getvalue())
    assert scored(path) == {
        "hard.jpg": "member is a hard link to another one",
        "soft.jpg": "member is a symbolic link",
        "device.jpg": "member is a device",
        "fifo.jpg": "member is a FIFO",
        "folder/a.jpg": ONE,
    }


@pytest.mark.parametrize("more", [0, 2])
def test_sparse_members_say_so_and_the_next_is_found(path: Path, more: int) -> None:
    """GNU's old form, whose map may go on in blocks of its own; and that of pax."""
    header = bytearray(info("holes.jpg", size=1024, type=tarfile.GNUTYPE_SPARSE).tobuf())
    header[482] = bool(more)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    maps = [bytearray(512) for _ in range(more)]
    for block in maps[:-1]:
        block[504] = 1
    path.write_bytes(bytes(header) + b"".join(maps) + bytes(1024) + tar_of([("a.jpg", ONE)]))
    sparse = "member is sparse: it has holes that are not stored"
    assert scored(path) == {"holes.jpg": sparse, "a.jpg": ONE}
    pax = info("GNUSparseFile.1/x", size=1024)
    pax.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "holes.jpg"}
    header_of_pax = pax.tobuf(tarfile.PAX_FORMAT)
    path.write_bytes(header_of_pax + bytes(1024) + tar_of([("a.jpg", ONE)]))
    assert scored(path) == {"holes.jpg": sparse, "a.jpg": ONE}


def test_paths_that_lead_out_are_names(path: Path) -> None:
    named = [("../../out.jpg", ONE), ("/etc/absolute.jpg", TWO)]
    path.write_bytes(tar_of(named))
    assert scored(path) == dict(named)


def test_two_members_of_one_name_are_two_rows(path: Path) -> None:
    path.write_bytes(tar_of([("a.jpg", ONE), ("./a.jpg", TWO)]))
    assert [one.name for one in walked_here(path)] == ["a.jpg", "a.jpg"]


@pytest.mark.parametrize("packed", ["tar", "tar.gz", "tar.zst"])
def test_a_header_that_claims_a_gibibyte_costs_nothing(path: Path, packed: str) -> None:
    whole = tar_of([("a.jpg", ONE)])
    lie = info("b.jpg", size=1 << 30).tobuf()
    path.write_bytes(PACKED[packed](whole[: -(-len(ONE) // 512) * 512 + 512] + lie))
    found = scored(path)
    assert found.pop("a.jpg") == ONE
    assert sorted(found) == ["", "b.jpg"]
    assert all(reason.startswith(("member ", "archive ")) for reason in map(str, found.values()))


def test_a_compressed_bomb_is_refused_and_the_option_named(path: Path) -> None:
    path.write_bytes(
        zstd.compress(tar_of([("a.jpg", ONE), ("b.jpg", bytes(150_000_000)), ("c.jpg", TWO)]))
    )
    found = {one.name: one.problem for one in walked_here(path, max_ratio=10)}
    assert found.pop("a.jpg") == ""
    assert sorted(found) == ["", "b.jpg"]
    assert all("--max-ratio" in problem for problem in found.values())


def test_a_second_archive_behind_the_first_is_not_lost_in_silence(path: Path) -> None:
    path.write_bytes(tar_of([("a.jpg", ONE)]) + tar_of([("b.jpg", TWO)]))
    found = scored(path)
    assert found.pop("a.jpg") == ONE
    assert "if several archives were put together" in str(found.pop(""))
    assert not found


def test_an_archive_in_an_archive_is_walked_in_place_or_counted(path: Path) -> None:
    inner = tar_of([("x.jpg", TWO), ("y.txt", b"")])
    named = [("a.jpg", ONE), ("in.tar", inner), ("packed.tgz", gzip.compress(inner))]
    wanted = {"a.jpg": ONE, "in.tar!/x.jpg": TWO}
    for packed in ("tar", "tar.gz"):
        path.write_bytes(PACKED[packed](tar_of(named)))
        assert scored(path) == {"a.jpg": ONE}
        found = scored(path, nested=True)
        assert "unpack it first" in str(found.pop("packed.tgz"))
        assert found == wanted


def test_what_holds_no_tar_says_what_was_wanted(path: Path) -> None:
    path.write_bytes(gzip.compress(b"a,b\n" * 1000))
    assert scored(path) == {"": "archive is a compressed file, wanted a compressed tar"}
    path.write_bytes(b"BZh9" + bytes(1000))
    assert scored(path) == {"": "archive is compressed by bzip2, wanted gzip or zstd"}
    path.write_bytes(b"nothing of the kind" * 100)
    assert scored(path) == {"": "archive is neither a zip nor a tar"}
