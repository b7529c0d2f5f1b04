"""What others could have written is not read; what is written is private and whole."""

import os
from pathlib import Path

import pytest

from hambatch.system.cache import (
    CacheRefused,
    keep_newest,
    left_behind,
    private,
    read_private,
    write_private,
)


def test_what_is_written_is_private_and_read_back(tmp_path: Path) -> None:
    with private(tmp_path / "cache") as place:
        write_private(place, "file", b"one ", b"two")
        assert read_private(place, "file") == b"one two"
    assert (tmp_path / "cache" / "file").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["file"]


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602])
def test_a_file_that_others_can_read_or_write_is_refused(tmp_path: Path, mode: int) -> None:
    with private(tmp_path / "cache") as place:
        write_private(place, "file", b"content")
        (tmp_path / "cache" / "file").chmod(mode)
        with pytest.raises(CacheRefused, match=r"file is open to other users; chmod 600"):
            read_private(place, "file")


@pytest.mark.parametrize("name", ["folder", "pipe", "link", "a\0b", "\ud800", "gone"])
def test_what_is_no_file_is_refused_whatever_it_is(tmp_path: Path, name: str) -> None:
    with private(tmp_path / "cache") as place:
        os.mkdir("folder", 0o700, dir_fd=place)
        os.mkfifo("pipe", 0o600, dir_fd=place)
        os.symlink("folder", "link", dir_fd=place)
        with pytest.raises(CacheRefused):
            read_private(place, name)


def test_the_folder_stays_the_one_that_was_checked(tmp_path: Path) -> None:
    with private(tmp_path / "cache") as place:
        write_private(place, "file", b"ours")
        (tmp_path / "cache").rename(tmp_path / "moved")
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "file").write_bytes(b"theirs")
        assert read_private(place, "file") == b"ours"


def test_only_what_is_old_was_left_behind(tmp_path: Path) -> None:
    with private(tmp_path / "cache") as place:
        for name in ("old", "new"):
            write_private(place, name, b"")
        os.utime(tmp_path / "cache" / "old", (1, 1))
        assert left_behind(place, ["old", "new", "gone"]) == ["old"]


def test_files_used_last_are_kept_and_folders_do_not_count(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with private(folder) as place:
        for age, name in enumerate(("new.json", "older.json", "oldest.json", "other.txt")):
            write_private(place, name, b"")
            os.utime(folder / name, (0, 1_000_000 - age))
        (folder / "folder.json").mkdir()
        os.utime(folder / "folder.json", (0, 0))
        keep_newest(place, ".json", 2)
    assert sorted(os.listdir(folder)) == ["folder.json", "new.json", "older.json", "other.txt"]
