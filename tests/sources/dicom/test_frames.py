"""Every frame of a DICOM file has a row of its own, whatever kind of source the file is in."""

import hashlib
import io
import os
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from hambatch.sources.archives.reading import Archives
from hambatch.sources.dicom import looking
from hambatch.sources.dicom.header import read_header
from hambatch.sources.kept_files import KeptFiles
from hambatch.sources.listing import find_images_named, list_names
from hambatch.sources.reading import fetch
from hambatch.sources.sorting import OVERLAPS
from hambatch.system.text import image_id_of
from tests.cli.test_sources import tarred, zipped
from tests.conftest import jpeg_bytes
from tests.faults.dicom_writing import WRITINGS, pixels_of
from tests.sources.dicom.making import dicom, entries, listed, names

TWO = ["!/frame-0001", "!/frame-0002"]


def frames_of(*files: str) -> list[str]:
    return [f"{name}{frame}" for name in files for frame in TWO]


def test_frames_follow_the_name_of_their_file_and_one_frame_is_the_file(tmp_path: Path) -> None:
    source = tmp_path / "s"
    (source / "sub").mkdir(parents=True)
    for name, content in {
        "one.dcm": dicom(),
        "sub/1.2.840": dicom(2),
        "=two.DCM": dicom(2),
        "odd.dcm": dicom(2).replace(b"IS\x02\x002 ", b"IS\x02\x00no"),
        "cut.dcm": dicom(2)[:-500],
        "a.jpg": jpeg_bytes(1),
        "notes.dcm": b"DICM is a word",
    }.items():
        (source / name).write_bytes(content)
    assert names(tmp_path, source) == [
        *frames_of("%3Dtwo.DCM"),
        "a.jpg",
        *("cut.dcm!/frame-0001", "cut.dcm!/frame-0002"),
        "notes.dcm",
        "odd.dcm",
        "one.dcm",
        *frames_of("sub/1.2.840"),
    ]


@pytest.mark.parametrize("writing", WRITINGS)
def test_frames_are_counted_in_every_transfer_syntax(writing: str) -> None:
    pictures = [pixels_of(jpeg_bytes(k)) for k in range(3)]
    assert read_header(io.BytesIO(WRITINGS[writing](pictures)), with_ids=False).frames == 3


def test_a_header_that_claims_too_many_frames_is_one_failed_row(tmp_path: Path) -> None:
    claims = {"a": (10_001, 200_000), "b": (10**9, 200_000), "c": (3000, 16 * 200)}
    (tmp_path / "s").mkdir()
    for name, (frames, size) in claims.items():
        content = dicom(frames, 1)
        (tmp_path / "s" / name).write_bytes(content + bytes(size - len(content)))
    (tmp_path / "s/honest").write_bytes(dicom(10_000, 1) + bytes(160_000))
    found = entries(tmp_path, tmp_path / "s")
    for name, (frames, size) in claims.items():
        most = min(10_000, size // 16)
        said = f"too many frames: the header says {frames}, the limit for {size} bytes is {most}"
        assert found.pop(name).problem == said
    # Names of many frames sort in their order.
    assert [entry.frame for entry in found.values()] == [*range(1, 10_001)]
    assert [*found][8:10] == ["honest!/frame-00009", "honest!/frame-00010"]


def test_files_named_like_other_pictures_are_not_looked_at_and_no_process_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "AnsweringChild", None)
    monkeypatch.setattr(looking, "open_regular", None)
    for name in ("a.jpg", "b.PNG", "c.tiff"):
        (tmp_path / name).write_bytes(dicom(2))
    assert names(tmp_path.parent, tmp_path) == ["a.jpg", "b.PNG", "c.tiff"]


def test_each_frame_of_a_member_is_read_out_of_its_archive(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.mkdir()
    files = {"x.dcm": dicom(2), "a.jpg": jpeg_bytes(1), "no suffix": dicom(2, PatientID="2")}
    zipped(source / "d.zip", files, zipfile.ZIP_DEFLATED)
    zipped(source / "s.zip", files)
    tarred(source / "p.tar", files)
    tarred(source / "z.tgz", files, "w:gz")
    sources, listing = listed(tmp_path, source, archives=True)
    found = {entry.name: entry for entry in listing.entries()}
    inside = ["a.jpg", *frames_of("no suffix", "x.dcm")]
    archives = ("d.zip", "p.tar", "s.zip", "z.tgz")
    assert [*found] == [f"{archive}!/{name}" for archive in archives for name in inside]
    opened, kept = Archives(), KeptFiles()
    for name, entry in found.items():
        file = fetch(sources.item(0, entry), archives=opened, files=kept)
        assert file.content == files[name.split("!/")[1]]
        assert file.frame == (int(name[-1]) if "frame" in name else 0)
    opened.close()


def test_members_that_share_bytes_are_failed_rows_frame_by_frame(tmp_path: Path) -> None:
    path = tmp_path / "o.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("one.dcm", "two.dcm", "tri.dcm"):
            archive.writestr(name, dicom(2))
        offset = archive.getinfo("two.dcm").header_offset
    raw = path.read_bytes().replace(b"two.dcm", b"one.dcm")
    path.write_bytes(raw.replace(offset.to_bytes(4, "little"), bytes(4)))
    found = entries(tmp_path, path)
    wrong = [name for name, entry in found.items() if entry.problem == OVERLAPS]
    assert len(wrong) == 4
    assert not any("tri" in name for name in wrong)
    assert [name for name, entry in found.items() if not entry.problem] == [
        *(f"o.zip!/{name}" for name in frames_of("tri.dcm"))
    ]


def test_what_a_manifest_says_goes_to_every_frame(tmp_path: Path) -> None:
    content = dicom(2)
    (tmp_path / "x.dcm").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    table = tmp_path / "m.csv"
    table.write_text(f"image,sha256,lesion_id\nx.dcm,{digest},L1\nx.dcm,{'0' * 64},L2\n")
    sources, listing = listed(tmp_path, table)
    found = {entry.name: entry for entry in listing.entries()}
    assert [*found] == [name + end for name in frames_of("x.dcm") for end in ("", "#2")]
    assert [entry.carried for entry in found.values()] == [("L1",), ("L2",)] * 2
    read = [fetch(sources.item(0, entry)) for entry in found.values()]
    assert [file.content == content for file in read] == [True, False] * 2


def test_a_manifest_and_a_list_of_paths_may_name_a_frame_as_a_table_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.dcm").write_bytes(dicom(3, PatientID="P1"))
    (tmp_path / "m.csv").write_text("image,lesion_id\nx.dcm!/frame-0002,L1\nno!/frame-0001,L2\n")
    found = entries(tmp_path, tmp_path / "m.csv", keep_ids=True)
    assert [(name, entry.frame) for name, entry in found.items()] == [
        ("no!/frame-0001", 1),
        ("x.dcm!/frame-0002", 2),
    ]
    assert found["x.dcm!/frame-0002"].carried[:2] == ("L1", "P1")
    path = f"{tmp_path}/x.dcm!/frame-0003"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(f"{path}\n".encode())))
    sources, listing = listed(tmp_path, Path("-"))
    (entry,) = listing.entries()
    assert (entry.frame, sources.path_of(entry)) == (3, tmp_path / "x.dcm")


def test_single_files_globs_and_paths_on_stdin_have_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s/x.dcm"
    path.parent.mkdir()
    path.write_bytes(dicom(2))
    stdin = SimpleNamespace(buffer=io.BytesIO(f"{path}\n".encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    sources, listing = listed(tmp_path, path, tmp_path / "s/*.dcm", Path("-"))
    found = [*listing.entries()]
    named = ("s/x.dcm", f"stdin/{path}", "x.dcm")
    assert [entry.name for entry in found] == frames_of(*named)
    assert {sources.path_of(entry) for entry in found} == {path}
    assert [entry.frame for entry in found] == [1, 2] * 3


def test_a_frame_is_found_again_by_its_name_alone(tmp_path: Path) -> None:
    source = tmp_path / "s"
    (source / "y.dcm!").mkdir(parents=True)
    (source / "x!.dcm").write_bytes(dicom(3))
    (source / "y.dcm").write_bytes(dicom(2))
    (source / "y.dcm!/frame-0001").write_bytes(jpeg_bytes(1))
    sources, listing = listed(tmp_path, source)
    found = [*listing.entries()]
    assert [entry.name for entry in found] == [
        *(f"x!.dcm!/frame-000{k}" for k in (1, 2, 3)),
        *("y.dcm!/frame-0001", "y.dcm!/frame-0001#2", "y.dcm!/frame-0002"),
    ]
    again = list_names(sources, listing.encoded(), tmp_path / "again")
    assert [*again.entries()] == found
    assert again.sha256 == listing.sha256
    named = find_images_named(sources, [*listing])
    assert [*named.values()] == found


def test_frames_have_ids_of_their_own() -> None:
    names = ("a/x.dcm!/frame-0001", "b/x.dcm!/frame-0002", "z.zip!/y!/frame-0001")
    assert [*map(image_id_of, names)] == ["x!frame-0001", "x!frame-0002", "y!frame-0001"]


def test_a_file_of_frames_is_read_once_and_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "s/x.dcm"
    path.parent.mkdir()
    path.write_bytes(dicom(2))
    sources, listing = listed(tmp_path, path.parent)
    items = [sources.item(k, entry) for k, entry in enumerate(listing.entries())]
    kept = KeptFiles()
    first, second = (fetch(item, files=kept) for item in items)
    assert first.content is second.content
    assert (first.frame, second.frame) == (1, 2)
    os.utime(path, (1, 1))
    assert fetch(items[0], files=kept).content is not first.content
    path.unlink()
    assert "No such file" in fetch(items[0], files=kept).problem
