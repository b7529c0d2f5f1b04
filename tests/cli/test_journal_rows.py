"""No row is about another image, whatever became of the journal: it is refused instead."""

import json
import shutil
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from hambatch.errors import InputError
from tests.cli.test_journal_attacks import killed, score
from tests.conftest import jpeg_bytes
from tests.faults.holding import Hold
from tests.waiting import wait_for

IMAGES = 200


def folder_of(folder: Path, first_seed: int) -> Path:
    folder.mkdir()
    pictures = [jpeg_bytes(first_seed + k) for k in range(7)]
    for k in range(IMAGES):
        (folder / f"{k:03d}.jpg").write_bytes(pictures[k % 7])
    return folder


@pytest.fixture(scope="module")
def place(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images in ``s``, others of the same names in ``t``; journals of killed runs.

    Of ``s`` in ``p``, of ``t`` in ``folder``, of ``s`` with another setting in ``setting``.
    """
    place = tmp_path_factory.mktemp("rows")
    for name, seed in (("s", 0), ("t", 50)):
        folder_of(place / name, seed)
    runs = (("p", "s", ()), ("folder", "t", ()), ("setting", "s", ("--tta", "2")))
    for name, source, more in runs:
        (place / name).mkdir()
        killed(place / source, place / name / "p.csv", tiny_engine, *more)
    return place


def flip_a_bit(content: bytes) -> bytes:
    return content.replace(b"057.jpg", b"057.jpf")


def swap_two_lines(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    lines[57], lines[99] = lines[99], lines[57]
    return b"".join(lines)


def lose_a_line_end(content: bytes) -> bytes:
    return content.replace(b"057.jpg\n", b"057.jpg*")


@pytest.mark.parametrize("damage", [flip_a_bit, swap_two_lines, lose_a_line_end])
def test_a_listing_that_changes_under_way_gives_no_table(
    place: Path,
    tiny_engine: Path,
    tmp_path: Path,
    damage: Callable[[bytes], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out, damaged, hold = tmp_path / "p.csv", [], Hold(tmp_path / "hold", batch=2)
    monkeypatch.setenv("PYTHONPATH", hold.environment["PYTHONPATH"])

    def change() -> None:
        wait_for(lambda: hold.is_held, "the run decodes images")
        listing = Path(f"{out}.journal/listing")
        content = listing.read_bytes()
        # The listing was checked by now. In place: an open file sees the change, too.
        with listing.open("r+b") as stream:
            stream.write(damage(content))
        damaged.append(damage(content) != content)
        hold.let_go()

    changing = threading.Thread(target=change)
    changing.start()
    result = score(place / "s", out, tiny_engine)
    changing.join()
    assert damaged == [True]
    assert not out.exists(), [line for line in out.read_text().splitlines() if "ok" not in line]
    assert isinstance(result.exception, InputError), result
    assert "Next: add --overwrite" in str(result.exception)


def refused(place: Path, out: Path, engine: Path) -> None:
    result = score(place / "s", out, engine)
    assert not out.exists(), result.output
    assert isinstance(result.exception, InputError), result
    assert "has a row of another image or of another run" in str(result.exception)
    assert "Next: add --overwrite" in str(result.exception)


@pytest.mark.parametrize("other", ["folder", "setting"])
def test_rows_of_the_journal_of_another_run_are_refused(
    place: Path, tiny_engine: Path, tmp_path: Path, other: str
) -> None:
    shutil.copytree(place / "p" / "p.csv.journal", tmp_path / "p.csv.journal")
    shutil.copy(place / other / "p.csv.journal" / "rows", tmp_path / "p.csv.journal" / "rows")
    refused(place, tmp_path / "p.csv", tiny_engine)


def test_rows_that_changed_places_are_refused(
    place: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    journal = shutil.copytree(place / "p" / "p.csv.journal", tmp_path / "p.csv.journal")
    lines = (journal / "rows").read_bytes().splitlines()
    first, second = (json.loads(line[9:]) for line in lines[:2])
    first[0], second[0] = second[0], first[0]
    texts = [json.dumps(row, separators=(",", ":")).encode() for row in (first, second)]
    (journal / "rows").write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(t), t) for t in texts))
    refused(place, tmp_path / "p.csv", tiny_engine)
