"""What an archive says in two ways is a failed row; what is whole in a damaged one is scored."""

import gzip
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hambatch.sources.listing import list_sources
from hambatch.sources.source import find_sources
from tests.conftest import jpeg_bytes
from tests.faults.archive_writing import Zipped, write_zip
from tests.sources.archives.making import scored, tar_of, zip_of

NO_ARCHIVE = "archive is neither a zip nor a tar"
ONE, TWO, THREE = jpeg_bytes(1), jpeg_bytes(2), jpeg_bytes(3)
NAMED = {"a.jpg": ONE, "b.jpg": TWO, "c.jpg": THREE}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.mark.parametrize("lie", [{"size": 5}, {"stored": 5}, {"crc32": 5}])
def test_a_member_whose_two_headers_differ_is_not_scored(path: Path, lie: dict[str, int]) -> None:
    lying = Zipped("b.jpg", TWO, local=lie)
    path.write_bytes(write_zip([lying, Zipped("a.jpg", ONE)]).content)
    found = scored(path)
    assert found["a.jpg"] == ONE
    assert "can be read in two ways" in str(found["b.jpg"])


def test_a_comment_that_holds_the_end_of_another_directory_is_not_chosen(path: Path) -> None:
    other = zip_of([("other.jpg", TWO)])
    path.write_bytes(zip_of(NAMED.items(), comment=other[other.find(b"PK\1\2") :]))
    (reason,) = scored(path).values()
    assert "it has two central directories" in str(reason)


def test_a_comment_that_only_holds_the_signature_is_a_comment(path: Path) -> None:
    path.write_bytes(zip_of(NAMED.items(), comment=b"PK\5\6 begins the end of a zip"))
    assert scored(path) == NAMED


def put_in(content: bytes) -> bytes:
    middle = content.find(TWO) + 9
    return content[:middle] + b"!" * 40 + content[middle:]


def taken_out(content: bytes) -> bytes:
    middle = content.find(TWO) + len(TWO) - 9
    return content[:middle] + content[middle + 9 :]


def put_behind(content: bytes) -> bytes:
    return content + bytes(700)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (put_in, "bytes were put in before its central directory"),
        (taken_out, "bytes are missing before its central directory"),
        (put_behind, "other bytes follow its end, or its comment is cut off"),
    ],
)
def test_members_that_are_whole_are_scored_and_the_archive_fails(
    path: Path, damage: Callable[[bytes], bytes], reason: str
) -> None:
    path.write_bytes(damage(zip_of(NAMED.items())))
    found = scored(path)
    assert found.pop("") == f"archive is damaged: {reason}"
    if damage is not put_behind:
        assert str(found.pop("b.jpg")).startswith("member ")
    assert found == {name: NAMED[name] for name in found}
    assert {"a.jpg", "c.jpg"} <= found.keys()


def test_an_image_whose_entry_has_the_name_of_a_text_is_a_failed_row(path: Path) -> None:
    lying = Zipped("b.jpg", TWO, central={"name": b"notes.txt"})
    path.write_bytes(write_zip([lying, Zipped("a.jpg", ONE)]).content)
    found = scored(path)
    assert str(found["notes.txt"]).startswith("member is not where the archive's directory says")


def test_a_wrong_check_sum_of_gzip_costs_no_member_its_row(path: Path) -> None:
    content = bytearray(gzip.compress(tar_of(NAMED.items())))
    content[-8] ^= 1
    path.write_bytes(content)
    found = scored(path)
    assert "incorrect data check" in str(found.pop(""))
    assert found == NAMED


def test_a_damaged_tar_in_a_zip_is_not_scored_in_silence(path: Path) -> None:
    content = bytearray(zip_of([("in.tar", tar_of(NAMED.items()))]))
    content[content.find(TWO) + len(TWO) // 2] ^= 1
    path.write_bytes(content)
    found = scored(path, nested=True)
    assert found["in.tar!/a.jpg"] == ONE
    assert found["in.tar"] == "member is damaged: it has not the CRC-32 that the archive states"


def test_a_long_name_that_is_lost_is_not_replaced_by_its_beginning(path: Path) -> None:
    long = "n" * 120 + ".jpg"
    content = tar_of([(long, ONE), ("b.jpg", TWO)], tarfile.GNU_FORMAT)
    path.write_bytes(content.replace(long.encode(), bytes(len(long))))
    assert scored(path) == {"n" * 100: "member has a long name that is damaged", "b.jpg": TWO}


def test_a_file_of_zeros_is_no_archive_without_members(path: Path) -> None:
    path.write_bytes(bytes(10240))
    (reason,) = scored(path).values()
    assert "it begins with zero bytes" in str(reason)


def test_a_tar_that_lost_its_beginning_is_not_taken_for_its_first_image(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "a.tar").write_bytes(tar_of(NAMED.items())[512:])
    (folder / "b.jpg").write_bytes(TWO)
    listing = list_sources(find_sources([folder], archives=True), tmp_path / "listing")
    assert {entry.name: entry.problem for entry in listing.entries()} == {
        "a.tar": NO_ARCHIVE,
        "b.jpg": "",
    }
    alone = list_sources(find_sources([folder / "a.tar"]), tmp_path / "listing")
    assert [entry.problem for entry in alone.entries()] == [NO_ARCHIVE]


def test_pax_records_that_cannot_be_read_cost_one_member(path: Path) -> None:
    content = tar_of([("n" * 120 + ".jpg", ONE), ("b.jpg", TWO)])
    path.write_bytes(content.replace(b" path=", b" path:"))
    assert scored(path) == {
        "n" * 100: "member has a name (pax) that cannot be read",
        "b.jpg": TWO,
    }
