"""Only regular files inside the folder are read, whole and unchanged, within the limit."""

import hashlib
import os
from pathlib import Path

import pytest

from hambatch.sources import reading
from hambatch.sources.reading import OUTSIDE, Bounds, Item, Limits, fetch, read_ahead


def bounds(root: Path | None = None, max_bytes: int = 1000) -> Bounds:
    return Bounds((root.resolve(),) if root else (), Limits(max_bytes, 10**8))


def test_the_hash_is_of_the_bytes_that_are_handed_on(tmp_path: Path) -> None:
    for content in (b"", b"one", os.urandom(300_000)):
        (tmp_path / "f").write_bytes(content)
        fetched = fetch(Item(3, tmp_path / "f"))
        assert (fetched.index, fetched.content, fetched.problem) == (3, content, "")
        assert fetched.sha256 == hashlib.sha256(content).hexdigest()


def test_a_file_over_the_limit_is_not_read_and_the_reason_names_the_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fits").write_bytes(bytes(1000))
    assert not fetch(Item(0, tmp_path / "fits"), bounds()).problem
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(10**12)
    monkeypatch.setattr(reading, "_read_at_most", None)
    found = fetch(Item(0, tmp_path / "huge"), bounds(max_bytes=64 * 10**6))
    assert found.problem == "too large: 1000000.0 MB, the limit is 64 (--max-megabytes)"
    assert (found.content, found.sha256) == (b"", "")


@pytest.mark.parametrize("new_size", [0, 5, 5000])
def test_a_file_that_changes_while_it_is_read_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_size: int
) -> None:
    path = tmp_path / "growing.jpg"
    path.write_bytes(bytes(100))
    asked = []
    real = os.read

    def read(descriptor: int, size: int) -> bytes:
        asked.append(size)
        with path.open("r+b") as stream:
            stream.truncate(new_size)
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", read)
    assert fetch(Item(0, path), bounds()).problem == "changed while it was read"
    assert max(asked) == 101


def test_a_file_rewritten_with_the_same_size_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "same.jpg"
    path.write_bytes(bytes(100))
    real = os.read

    def read(descriptor: int, size: int) -> bytes:
        path.write_bytes(b"x" * 100)
        os.utime(path, ns=(1, 1))
        return real(descriptor, size)

    monkeypatch.setattr(os, "read", read)
    assert fetch(Item(0, path), bounds()).problem == "changed while it was read"


def test_links_inside_the_folder_are_read_and_links_out_of_it_are_not(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "root-not"
    (root / "sub").mkdir(parents=True)
    outside.mkdir()
    (root / "sub" / "near").write_bytes(b"near")
    (outside / "far").write_bytes(b"far")
    (root / "in").symlink_to("sub/near")
    (root / "out").symlink_to(outside / "far")
    (root / "sub" / "chain").symlink_to("../out")
    (root / "folder").symlink_to(outside)
    assert fetch(Item(0, root / "in"), bounds(root)).content == b"near"
    for name in ("out", "sub/chain", "folder/far", "../root-not/far"):
        found = fetch(Item(0, root / name), bounds(root))
        assert (found.problem, found.content) == (OUTSIDE, b"")
        assert fetch(Item(0, root / name), bounds()).content == b"far"
    assert fetch(Item(-1, outside / "far", sentinel=True), bounds(root)).content == b"far"


def test_a_folder_that_is_itself_reached_by_a_link_is_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "one").write_bytes(b"1")
    (tmp_path / "link").symlink_to("real")
    assert fetch(Item(0, tmp_path / "link" / "one"), bounds(tmp_path / "link")).content == b"1"


def test_without_a_proc_file_system_links_are_still_followed_to_their_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "far").write_bytes(b"far")
    (tmp_path / "root" / "out").symlink_to(tmp_path / "far")
    (tmp_path / "root" / "near").write_bytes(b"near")
    real = os.readlink

    def readlink(path: object) -> str:
        if str(path).startswith("/proc"):
            raise FileNotFoundError(path)
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "readlink", readlink)
    root = tmp_path / "root"
    assert fetch(Item(0, root / "out"), bounds(root)).problem == OUTSIDE
    assert fetch(Item(0, root / "near"), bounds(root)).content == b"near"


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("nothing", "cannot be read: No such file or directory"),
        ("another", "changed while it was read"),
    ],
)
def test_a_folder_that_moves_while_its_file_is_open_is_no_link_out_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str, reason: str
) -> None:
    root, another = tmp_path / "root", tmp_path / "another"
    for folder in (root, another):
        folder.mkdir()
        (folder / "one").write_bytes(b"1")
    real = os.open

    def move(path: Path, flags: int) -> int:
        descriptor = real(path, flags)
        root.rename(tmp_path / "elsewhere")
        if then == "another":
            another.rename(root)
        return descriptor

    monkeypatch.setattr(os, "open", move)
    assert fetch(Item(0, root / "one"), bounds(root)).problem == reason


def test_what_is_no_regular_file_is_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to_device").symlink_to("/dev/zero")
    monkeypatch.setattr(os, "open", None)
    for name in ("pipe", "to_device", "."):
        assert fetch(Item(0, tmp_path / name)).problem == "cannot be read: not a regular file"


def test_a_pipe_that_takes_a_files_place_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")
    status = os.stat(tmp_path / "file")
    monkeypatch.setattr(os, "stat", lambda path: status)
    assert fetch(Item(0, tmp_path / "pipe")).problem == "cannot be read: not a regular file"


def test_missing_forbidden_and_looping_files_are_failures_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "closed").write_bytes(b"x")
    assert fetch(Item(0, tmp_path / "gone")).problem == "cannot be read: No such file or directory"
    assert "symbolic links" in fetch(Item(0, tmp_path / "self")).problem

    def refuse(*_: object) -> int:
        # As root no file is closed, so the refusal comes from the call itself.
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert fetch(Item(0, tmp_path / "closed")).problem == "cannot be read: Permission denied"


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(2000))
    before = len(os.listdir("/proc/self/fd"))
    for rules in (bounds(), bounds(tmp_path / "elsewhere"), bounds(max_bytes=10**6)):
        fetch(Item(0, tmp_path / "f"), rules)
    assert len(os.listdir("/proc/self/fd")) == before


def test_batches_come_in_order_and_every_reader_keeps_the_bounds(tmp_path: Path) -> None:
    sizes = [10, 2000, 30, 40]
    for k, size in enumerate(sizes):
        (tmp_path / str(k)).write_bytes(bytes(size))
    batches = [[Item(k, tmp_path / str(k)), Item(k + 10, tmp_path / str(k))] for k in range(4)]
    found = list(read_ahead(batches, 3, 2, bounds()))
    assert [[f.index for f in batch] for batch in found] == [[k, k + 10] for k in range(4)]
    assert [len(batch[0].content) for batch in found] == [10, 0, 30, 40]


def test_a_sentinel_is_read_once_and_a_failure_to_read_it_is_not_kept(tmp_path: Path) -> None:
    sentinel = Item(-1, tmp_path / "sentinel.jpg", sentinel=True)
    assert fetch(sentinel).problem == "cannot be read: No such file or directory"
    sentinel.path.write_bytes(b"bytes")
    first = fetch(sentinel)
    sentinel.path.unlink()
    again = fetch(Item(-7, sentinel.path, sentinel=True))
    assert (again.index, again.content, again.sha256) == (-7, b"bytes", first.sha256)
    assert fetch(Item(0, sentinel.path)).problem
