"""Everything in a folder is found once, sorted, whatever the folder is like."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hambatch.errors import InputError
from hambatch.sources.listing import Listing, list_sources
from hambatch.sources.reading import Item, fetch
from hambatch.sources.skipped import describe_skipped
from hambatch.sources.source import folder_of_images
from hambatch.system.locks import MARK
from tests.conftest import jpeg_bytes, png_bytes


@pytest.fixture
def listed(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Listing]:
    """List a folder, keeping the listing elsewhere."""

    def call(root: Path, *, follow_symlinks: bool = False, **options: Any) -> Listing:
        sources = folder_of_images(root, follow_symlinks=follow_symlinks)
        return list_sources(sources, tmp_path_factory.mktemp("listing") / "listing", **options)

    return call


Lister = Callable[..., Listing]


def test_names_are_relative_sorted_and_recursive(listed: Lister, image_folder: Path) -> None:
    names = list(listed(image_folder))
    assert names == sorted(names)
    assert len(names) == 24
    assert {"a/picture_01.jpg", "b/c/picture_02.jpg", "last.png"} <= set(names)


def test_an_image_is_known_by_content_and_a_text_file_is_none(
    listed: Lister, tmp_path: Path
) -> None:
    (tmp_path / "no_suffix").write_bytes(jpeg_bytes(1))
    (tmp_path / "scan.dat").write_bytes(png_bytes(1))
    (tmp_path / "notes.txt").write_text("hello")
    listing = listed(tmp_path)
    assert list(listing) == ["no_suffix", "scan.dat"]
    assert listing.survey.others.names == ["notes.txt"]


def test_a_file_named_like_an_image_gets_a_row_even_if_it_is_none(
    listed: Lister, tmp_path: Path
) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "page.PNG").write_text("<html>")
    assert list(listed(tmp_path)) == ["empty.jpg", "page.PNG"]


def test_a_loop_of_links_ends_and_repeats_nothing(listed: Lister, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "one.jpg").write_bytes(jpeg_bytes(1))
    (tmp_path / "sub" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "again").symlink_to(tmp_path / "sub", target_is_directory=True)
    for follow in (False, True):
        found = [Path(n).name for n in list(listed(tmp_path, follow_symlinks=follow))]
        assert found == ["one.jpg"]
    assert listed(tmp_path).survey.links_left.names == ["again", "sub/up"]


def test_linked_folders_are_entered_when_asked(listed: Lister, tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    root.mkdir()
    (outside / "far.jpg").write_bytes(jpeg_bytes(1))
    (root / "near.jpg").write_bytes(jpeg_bytes(2))
    (root / "link").symlink_to(outside, target_is_directory=True)
    assert list(listed(root)) == ["near.jpg"]
    assert list(listed(root, follow_symlinks=True)) == ["link/far.jpg", "near.jpg"]


def test_an_unreadable_folder_is_named_and_the_rest_is_listed(
    listed: Lister, image_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As root no folder is unreadable, so the refusal comes from the call itself.
    real = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "a":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    listing = listed(image_folder)
    assert listing.survey.unreadable == {"a": "Permission denied"}
    assert listing.count == 16


def test_a_fifo_is_never_opened_and_gets_a_row_unless_its_name_says_otherwise(
    listed: Lister, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "one.jpg").write_bytes(jpeg_bytes(1))
    assert list(listed(tmp_path)) == ["one.jpg", "pipe"]


@pytest.mark.parametrize(
    "name", ["a,b.jpg", "line\nbreak.jpg", "'\".jpg", "ünï.jpg", b"caf\xe9.jpg"]
)
def test_any_name_that_the_file_system_holds_is_listed(
    listed: Lister, tmp_path: Path, name: str | bytes
) -> None:
    Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), os.fsencode(name)))).write_bytes(
        jpeg_bytes(1)
    )
    assert list(listed(tmp_path)) == [os.fsdecode(name)]


def test_a_missing_an_empty_and_a_plain_file_source_are_refused(
    listed: Lister, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.jpg").write_bytes(jpeg_bytes(1))
    with pytest.raises(InputError, match="does not exist"):
        listed(tmp_path / "nowhere")
    with pytest.raises(InputError, match="it is empty"):
        listed(tmp_path / "empty")
    with pytest.raises(InputError, match="is a file"):
        listed(tmp_path / "file.jpg")


def test_a_link_to_itself_gets_a_row_and_stops_nothing(listed: Lister, tmp_path: Path) -> None:
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "one.jpg").write_bytes(jpeg_bytes(1))
    assert list(listed(tmp_path)) == ["one.jpg", "self.jpg"]
    assert "cannot be read" in fetch(Item(0, tmp_path / "self.jpg")).problem


def test_a_file_of_unknown_kind_gets_a_row_and_litter_does_not(
    listed: Lister, tmp_path: Path
) -> None:
    for name in ("scan.xyz", "IMG_1", "photo.dcm", "photo.heic", ".hidden.jpg"):
        (tmp_path / name).write_bytes(b"what is this")
    for name in ("Thumbs.db", ".DS_Store", "._IMG_1.jpg", "README", "labels.csv"):
        (tmp_path / name).write_bytes(b"\x00\x05\x16\x07")
    listing = listed(tmp_path)
    assert list(listing) == ["IMG_1", "photo.dcm", "photo.heic", "scan.xyz"]
    assert listing.survey.others.count == 6


def test_files_of_another_journal_are_counted_and_nothing_else_in_it_is_left_out(
    listed: Lister, tmp_path: Path
) -> None:
    (tmp_path / "one.jpg").write_bytes(jpeg_bytes(1))
    for folder in ("preds.csv.journal", "visit.journal"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "lock").write_bytes(b"a door")
        (tmp_path / folder / "rows").touch()
    (tmp_path / "preds.csv.journal" / "lock").write_bytes(MARK)
    (tmp_path / "preds.csv.journal" / "scan.jpg").write_bytes(jpeg_bytes(2))
    listing = listed(tmp_path)
    assert list(listing) == [
        "one.jpg",
        "preds.csv.journal/scan.jpg",
        "visit.journal/lock",
        "visit.journal/rows",
    ]
    assert listing.survey.others.names == ["preds.csv.journal/lock", "preds.csv.journal/rows"]


def test_the_table_itself_gets_no_row_wherever_it_lies(listed: Lister, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("preds", "a/preds", "one.jpg"):
        (tmp_path / name).write_bytes(b"?")
    (tmp_path / "link").symlink_to("a/preds")
    leave = [tmp_path / "link", tmp_path / "nowhere"]
    assert list(listed(tmp_path, leave=leave)) == ["link", "one.jpg", "preds"]


def test_only_a_few_names_of_what_is_left_out_are_kept(listed: Lister, tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(jpeg_bytes(1))
    for k in range(100, 0, -1):
        (tmp_path / f"{k:03d}.txt").touch()
    others = listed(tmp_path).survey.others
    assert (others.count, others.names[:2], len(others.names)) == (100, ["001.txt", "002.txt"], 20)


@pytest.mark.parametrize(
    "name", ["@eaDir", "$RECYCLE.BIN", "$Recycle.Bin", ".Trash-0", "FOUND.000", "My.lrdata", ".git"]
)
def test_a_folder_of_thumbnails_or_deleted_files_is_left_out_unless_it_is_the_source(
    listed: Lister, tmp_path: Path, name: str
) -> None:
    (tmp_path / "one.jpg").write_bytes(jpeg_bytes(1))
    (tmp_path / name / "deep").mkdir(parents=True)
    (tmp_path / name / "deep" / "two.jpg").write_bytes(jpeg_bytes(2))
    listing = listed(tmp_path)
    assert list(listing) == ["one.jpg"]
    (found,) = listing.survey.skipped.values()
    assert (found.folders, found.files, found.not_counted) == (1, 1, 0)
    assert list(listed(tmp_path / name)) == ["deep/two.jpg"]


@pytest.mark.parametrize(
    "name", ["Thumbs", "Trash", "deleted", "@eadir", "Lost+Found", ".Trash-x", "snapshot", "tmp"]
)
def test_a_folder_that_may_hold_an_archive_is_entered(
    listed: Lister, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "one.jpg").write_bytes(jpeg_bytes(1))
    assert list(listed(tmp_path)) == [f"{name}/one.jpg"]


def test_a_left_out_folder_that_cannot_be_read_is_counted_and_no_reason_to_worry(
    listed: Lister, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def refuse(path: str | Path) -> object:
        if Path(path).name == "lost+found":
            raise PermissionError(13, "Permission denied")
        return real(path)

    (tmp_path / "one.jpg").write_bytes(jpeg_bytes(1))
    (tmp_path / "lost+found").mkdir()
    monkeypatch.setattr(os, "scandir", refuse)
    survey = listed(tmp_path).survey
    assert survey.unreadable == {}
    assert describe_skipped(survey.skipped) == [
        "lost+found (pieces of files that a disk check found): 1 folder, files not counted"
    ]
