"""Everything in a folder is found once, sorted, whatever the folder is like."""

import os
from pathlib import Path

import pytest

from hambatch.errors import InputError
from hambatch.sources.folder import list_images
from hambatch.sources.reading import Item, fetch
from tests.conftest import jpeg_bytes, png_bytes


def test_names_are_relative_sorted_and_recursive(image_folder: Path) -> None:
    names = list_images(image_folder).names
    assert names == sorted(names)
    assert len(names) == 24
    assert {"a/picture_01.jpg", "b/c/picture_02.jpg", "last.png"} <= set(names)


def test_an_image_is_known_by_content_and_a_text_file_is_none(tmp_path: Path) -> None:
    (tmp_path / "no_suffix").write_bytes(jpeg_bytes(1))
    (tmp_path / "scan.dat").write_bytes(png_bytes(1))
    (tmp_path / "notes.txt").write_text("hello")
    listing = list_images(tmp_path)
    assert listing.names == ["no_suffix", "scan.dat"]
    assert listing.others == ["notes.txt"]


def test_a_file_named_like_an_image_gets_a_row_even_if_it_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.PNG").write_text("<html>")
    assert list_images(tmp_path).names == ["empty.jpg", "page.PNG"]


def test_a_loop_of_links_ends_and_repeats_nothing(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.jpg").write_bytes(jpeg_bytes(1))
    (tmp_path / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "again").symlink_to(tmp_path / "sub", target_is_directory=True)
    for follow in (False, True):
        found = [Path(n).name for n in list_images(tmp_path, follow_symlinks=follow).names]
        assert found == ["one.jpg"]
    assert sorted(list_images(tmp_path).links_left) == ["again", "sub/up"]


def test_linked_folders_are_entered_when_asked(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "far.jpg").write_bytes(jpeg_bytes(1))
    (root / "near.jpg").write_bytes(jpeg_bytes(2))
    (root / "link").symlink_to(outside, target_is_directory=True)
    assert list_images(root).names == ["near.jpg"]
    assert list_images(root, follow_symlinks=True).names == ["link/far.jpg", "near.jpg"]


def test_an_unreadable_folder_is_named_and_the_rest_is_listed(
    image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As root no folder is unreadable, so the refusal comes from the call itself.
    real = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = list_images(image_folder)
    assert listing.unreadable == {"a": "Permission denied"}
    assert len(listing.names) == 16


def test_a_fifo_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "one.jpg").write_bytes(jpeg_bytes(1))
    assert list_images(tmp_path).names == ["one.jpg"]


@pytest.mark.parametrize(
    "name", ["a,b.jpg", "line\nbreak.jpg", "'\".jpg", "ünï.jpg", b"caf\xe9.jpg"]
)
def test_any_name_that_the_file_system_holds_is_listed(tmp_path: Path, name: str | bytes) -> None:
    Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), os.fsencode(name)))).write_bytes(
        jpeg_bytes(1)
    )
    assert list_images(tmp_path).names == [os.fsdecode(name)]


def test_a_missing_an_empty_and_a_plain_file_source_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.jpg").write_bytes(jpeg_bytes(1))
    with pytest.raises(InputError, match="does not exist"):
        list_images(tmp_path / "nowhere")
    with pytest.raises(InputError, match="it is empty"):
        list_images(tmp_path / "empty")
    with pytest.raises(InputError, match="is a file"):
        list_images(tmp_path / "file.jpg")


def test_a_link_to_itself_gets_a_row_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "one.jpg").write_bytes(jpeg_bytes(1))
    assert list_images(tmp_path).names == ["one.jpg", "self.jpg"]
    assert "cannot be read" in fetch(Item(0, tmp_path / "self.jpg")).problem
