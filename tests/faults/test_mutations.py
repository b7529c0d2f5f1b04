"""The damage is again the same, comes in all kinds, and is damage."""

from pathlib import Path

import pytest

from tests.faults.corpus import found_jpegs, generated_jpegs, mutants, write_folder
from tests.faults.jpeg_parts import SOF, header_segments, only, scan_start
from tests.faults.mutations import KINDS, mutant


@pytest.fixture(scope="module")
def bases() -> list[bytes]:
    return generated_jpegs(20, 3, 96, 72)


def test_a_mutant_is_the_same_again_from_its_seed_and_number(bases: list[bytes]) -> None:
    once = mutants(bases, 5, 0, 2 * len(KINDS))
    assert mutant(bases, 5, 30) == once[30]
    assert [m.content for m in once] != [m.content for m in mutants(bases, 6, 0, len(once))]


def test_every_kind_comes_up_and_changes_its_file(bases: list[bytes]) -> None:
    made = mutants(bases, 0, 0, 3 * len(KINDS))
    assert {m.kind for m in made} == set(KINDS)
    assert not {m.content for m in made} & set(bases)


def test_the_parts_of_a_jpeg_are_where_the_damage_is_to_go(bases: list[bytes]) -> None:
    for content in bases:
        (frame,) = only(content, SOF)
        assert content[frame.payload + 1 : frame.payload + 5] == b"\0\x48\0\x60"
        assert 0 < scan_start(content) < len(content) - 64
    with pytest.raises(ValueError, match="no JPEG"):
        header_segments(b"\x89PNG\r\n\x1a\n")


def test_only_whole_jpegs_of_a_folder_are_damaged(bases: list[bytes], tmp_path: Path) -> None:
    files = {"a.jpg": bases[0], "b.jpg": bases[1][:-9], "c.jpg": b"no", "d.png": bases[2]}
    folder = write_folder(tmp_path / "found", files)
    assert found_jpegs(folder, 1, 0) == [bases[0]]
    with pytest.raises(ValueError, match="holds 1 whole JPEGs, wanted 2"):
        found_jpegs(folder, 2, 0)
