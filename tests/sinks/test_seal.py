"""A seal fits the very bytes that were signed, and nothing that differs from them by a bit."""

import json
import os
from pathlib import Path

import pytest

from hambatch.sinks.seal import SealedFile, find_flaws, seal_of
from hambatch.system.files import as_json, sha256_of_file
from hambatch.system.signing_keys import SigningKey, read_public_key, read_signing_key
from tests.cli.test_seal import NIGHT, NIGHT_PUB


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    path = tmp_path / "night.key"
    path.touch(0o600)
    path.write_text(NIGHT)
    return read_signing_key(path)


@pytest.fixture
def files(tmp_path: Path, key: SigningKey) -> tuple[Path, Path, Path]:
    """A table, its record and their seal."""
    table, record, seal = (tmp_path / name for name in ("p.csv", "p.csv.run.json", "p.seal"))
    table.write_text("image\na\n")
    record.write_text('{"state": "finished"}\n')
    seal.write_text(sealed(key, table, record))
    return table, record, seal


def sealed(key: SigningKey, *paths: Path) -> str:
    return seal_of("1.0", *(SealedFile(path.name, sha256_of_file(path)) for path in paths), key)  # type: ignore[call-arg]


def test_no_byte_can_be_changed_by_a_bit(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    public = tmp_path / "night.pub"
    public.write_text(NIGHT_PUB)
    key = read_public_key(public)
    assert list(find_flaws(*files, key)) == []
    for path in files:
        content = path.read_bytes()
        for place in range(len(content)):
            changed = bytearray(content)
            changed[place] ^= 1 << place % 8
            path.write_bytes(changed)
            assert list(find_flaws(*files, key)), (path.name, place)
        path.write_bytes(content)
    assert list(find_flaws(*files, key)) == []


def test_the_same_bytes_have_the_same_seal(files: tuple[Path, Path, Path], key: SigningKey) -> None:
    table, record, seal = files
    assert sealed(key, table, record) == seal.read_text()


def test_a_seal_that_is_a_pipe_or_endless_is_no_seal(
    files: tuple[Path, Path, Path], key: SigningKey
) -> None:
    *_, seal = files
    seal.write_text(" " * 70_000 + seal.read_text())
    assert [flaw.what for flaw in find_flaws(*files, key.public)] == ["seal: no run writes this"]
    seal.unlink()
    os.mkfifo(seal)
    assert [flaw.what for flaw in find_flaws(*files, key.public)] == ["no seal"]


def test_a_line_end_in_the_signature_is_no_seal(
    files: tuple[Path, Path, Path], key: SigningKey
) -> None:
    *_, seal = files
    found = json.loads(seal.read_text())
    seal.write_text(as_json(found | {"signature": found["signature"] + "\n"}))
    assert [flaw.what for flaw in find_flaws(*files, key.public)] == ["seal: no run writes this"]
