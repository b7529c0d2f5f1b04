"""Members are read by several threads, each with its own bytes, from an archive that stays."""

import gzip
import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hambatch.sources.archives import reading
from hambatch.sources.archives.member import Unreadable
from hambatch.sources.archives.reading import Archives, reads_in_order
from tests.sources.archives.making import tar_of, walked_here, zip_of

NAMED = [(f"{k}.jpg", random.Random(k).randbytes(1000 + 37 * k)) for k in range(40)]  # noqa: S311

MAKE = {
    "zip": lambda: zip_of(NAMED),
    "tar": lambda: tar_of(NAMED),
    "tar.gz": lambda: gzip.compress(tar_of(NAMED)),
}


@pytest.mark.parametrize("kind", MAKE)
def test_threads_in_any_order_get_the_right_bytes(tmp_path: Path, kind: str) -> None:
    path, archives = tmp_path / kind, Archives()
    path.write_bytes(MAKE[kind]())
    found = [one for one in walked_here(path) if one.member]
    assert {reads_in_order(one.member) for one in found} == {kind == "tar.gz"}
    random.Random(1).shuffle(found)  # noqa: S311
    with ThreadPoolExecutor(8) as pool:
        content = list(pool.map(lambda one: archives.read(path, one.member, 10**6), found))
    assert dict(zip([one.name for one in found], content, strict=True)) == dict(NAMED)
    archives.close()


def test_descriptors_are_kept_and_are_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "KEPT_OPEN", 3)
    archives, before = Archives(), len(os.listdir("/proc/self/fd"))
    for turn in range(2):
        for k in range(10):
            path = tmp_path / f"{k}.zip"
            if not turn:
                path.write_bytes(zip_of(NAMED[:2]))
            for one in walked_here(path):
                assert archives.read(path, one.member, 10**6) == dict(NAMED)[one.name]
    assert len(os.listdir("/proc/self/fd")) == before + 3
    archives.close()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("how", ["in place", "replaced"])
def test_an_archive_that_changes_is_not_read_further(tmp_path: Path, how: str) -> None:
    path, archives = tmp_path / "a.zip", Archives()
    path.write_bytes(zip_of(NAMED))
    first, second, *_ = walked_here(path)
    archives.read(path, first.member, 10**6)
    other = tmp_path / "other"
    (path if how == "in place" else other).write_bytes(zip_of(NAMED[:5]))
    if how == "replaced":
        other.replace(path)
    with pytest.raises(Unreadable, match="archive changed while it was read"):
        archives.read(path, second.member, 10**6)
    archives.close()


@pytest.mark.parametrize("kind", MAKE)
def test_another_member_at_the_place_is_noticed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    path.write_bytes(MAKE[kind]())
    found = walked_here(path)
    other = [(f"x{name}", content) for name, content in NAMED]
    whole = zip_of(other) if kind == "zip" else tar_of(other)
    path.write_bytes(gzip.compress(whole) if kind == "tar.gz" else whole)
    archives = Archives()
    with pytest.raises(Unreadable, match="member is not where the archive's directory says"):
        archives.read(path, found[0].member, 10**6)
    archives.close()


def test_a_member_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path, archives = tmp_path / "a.zip", Archives()
    path.write_bytes(zip_of(NAMED))
    first = walked_here(path)[0]
    with pytest.raises(Unreadable, match=r"too large: .* \(--max-megabytes\)"):
        archives.read(path, first.member, 999)
    archives.close()


def test_what_is_the_machines_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, archives = tmp_path / "a.zip", Archives()
    path.write_bytes(zip_of(NAMED))
    first = walked_here(path)[0]

    def refuse(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", refuse)
        with pytest.raises(OSError, match="Input/output error"):
            archives.read(path, first.member, 10**6)
    assert archives.read(path, first.member, 10**6) == NAMED[0][1]
    archives.close()


def test_a_long_way_through_a_compressed_tar_gives_signs_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_SKIPPED", 5000)
    path, archives, signs = tmp_path / "a.tgz", Archives(), []
    path.write_bytes(gzip.compress(tar_of(NAMED)))
    last = walked_here(path)[-1]
    content = archives.read(path, last.member, 10**6, lambda: signs.append(1))
    assert content == NAMED[-1][1]
    assert len(signs) > 10
    archives.close()
