"""A file is written whole or stays as it was."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from hambatch.errors import InputError
from hambatch.system.files import closed_at_the_end, companion, replacing, write_bytes, write_json


def fail() -> None:
    raise ZeroDivisionError


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_bytes(tmp_path / "file", b"old")
    with suppress(ZeroDivisionError), replacing(tmp_path / "file") as temporary:
        temporary.write_bytes(b"half of the new one")
        fail()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


def test_json_is_indented_and_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "file", {"name": "é", "share": 0.5})
    assert (tmp_path / "file").read_text("utf-8") == '{\n  "name": "é",\n  "share": 0.5\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file", float("nan"))


def test_a_folder_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write .*: No such file.*\nNext: "):
        write_bytes(tmp_path / "gone" / "file", b"")


def test_a_full_disk_is_noticed_when_a_stream_is_closed() -> None:
    def write_a_row(then: Callable[[], None]) -> None:
        with closed_at_the_end(open("/dev/full", "w")) as stream:
            stream.write("row")
            then()

    with pytest.raises(OSError, match="No space left"):
        write_a_row(lambda: None)
    # The error of the block is the one that matters.
    with pytest.raises(ZeroDivisionError):
        write_a_row(fail)


def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced_or_made(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link, target = tmp_path / "link", tmp_path / "far" / "file"
    link.symlink_to("far/file")
    for content in (b"made", b"replaced"):
        write_bytes(link, content)
        assert target.read_bytes() == content
    assert link.is_symlink()
    assert [*target.parent.iterdir()] == [target]
    link.unlink()
    link.symlink_to("link")
    with pytest.raises(InputError, match=r"leads back to itself.*\nNext: "):
        write_bytes(link, b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link another owner")
def test_a_link_that_another_user_put_into_a_shared_folder_is_not_followed(tmp_path: Path) -> None:
    shared, precious = tmp_path / "shared", tmp_path / "precious"
    shared.mkdir()
    shared.chmod(0o1777)
    precious.write_bytes(b"precious")
    (shared / "link").symlink_to(precious)
    os.lchown(shared / "link", 12345, 12345)
    with pytest.raises(InputError, match=r"link of another user.*\nNext: "):
        write_bytes(shared / "link", b"")
    assert precious.read_bytes() == b"precious"


def test_what_belongs_to_a_file_lies_beside_it_or_beside_its_link(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link, target = tmp_path / "link.csv", tmp_path / "far" / "real.csv"
    link.symlink_to(target)
    assert companion(link, ".json") == companion(target, ".json") == target.parent / "real.csv.json"
    (tmp_path / "link.csv.json").touch()
    assert companion(link, ".json") == tmp_path / "link.csv.json"
