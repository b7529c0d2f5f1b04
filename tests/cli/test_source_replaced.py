"""SOURCE is moved, replaced or not mounted for a while, or the clock is set back."""

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result

from hambatch.errors import InputError
from hambatch.scoring.journal.begun import content_of, read_begun
from tests.cli.test_journal_attacks import killed, score
from tests.conftest import jpeg_bytes
from tests.faults.holding import Hold
from tests.waiting import wait_for

IMAGES, NOT_ALL = 60, 3


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two archives, ``s`` and ``t``, with other images of the same names in a subfolder."""
    place = tmp_path_factory.mktemp("archives")
    for seed, name in ((0, "s"), (50, "t")):
        (place / name / "a").mkdir(parents=True)
        for k in range(IMAGES):
            (place / name / "a" / f"{k:02d}.jpg").write_bytes(jpeg_bytes(seed + k % 7))
    return place


@pytest.fixture
def place(archives: Path, tmp_path: Path) -> Path:
    """Copies of both."""
    for name in ("s", "t"):
        shutil.copytree(archives / name, tmp_path / name)
    return tmp_path


def score_while(
    change: Callable[[], object],
    place: Path,
    engine: Path,
    patch: pytest.MonkeyPatch,
    source: str = "s",
    *more: str,
) -> Result:
    """Score, and change something when a worker has decoded some of the images."""
    hold = Hold(place / "hold", batch=12)
    patch.setenv("PYTHONPATH", hold.environment["PYTHONPATH"])

    def then() -> None:
        wait_for(lambda: hold.is_held, "the run decodes images")
        change()
        hold.let_go()

    changing = threading.Thread(target=then)
    changing.start()
    result = score(place / source, place / "p.csv", engine, *more)
    changing.join()
    return result


def swap(place: Path, name: str = "") -> None:
    """Move the archive ``t``, or a folder of it, to the place of that of ``s``."""
    (place / "s" / name).rename(place / "before")
    (place / "t" / name).rename(place / "s" / name)


@pytest.mark.parametrize("name", ["", "a"])
def test_rows_of_a_folder_that_another_replaced_are_named(
    place: Path, tiny_engine: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # The files of the other folder are older than the run.
    monkeypatch.setattr("hambatch.scoring.changes.CLOCK_S", 0)
    wait_for(lambda: datetime.now(UTC).timestamp() > _newest(place) + 1, "a second has passed")
    result = score_while(lambda: swap(place, name), place, tiny_engine, monkeypatch)
    assert result.exit_code == NOT_ALL, result.output
    assert "changed since scored, row of the old bytes:" in result.output


def _newest(place: Path) -> float:
    return max(path.stat().st_ctime for path in place.rglob("*"))


def test_a_link_that_is_switched_under_way_gives_the_rows_of_one_archive(
    place: Path, tiny_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "now").symlink_to("s")

    def switch() -> None:
        (place / "next").symlink_to("t")
        (place / "next").rename(place / "now")

    how = place, tiny_engine, monkeypatch, "now", "--follow-symlinks"
    result = score_while(switch, *how)
    assert result.exit_code == 0, result.output
    found = (place / "p.csv").read_bytes()
    monkeypatch.undo()
    assert score(place / "s", place / "q.csv", tiny_engine).exit_code == 0
    assert found == (place / "q.csv").read_bytes()


def test_no_file_fails_because_its_share_is_not_mounted(
    place: Path, tiny_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unmount() -> None:
        (place / "s").rename(place / "elsewhere")
        (place / "s").mkdir()

    result = score_while(unmount, place, tiny_engine, monkeypatch)
    assert isinstance(result.exception, InputError), result.output
    assert "SOURCE went away under way" in str(result.exception)
    assert "Next: mount it" in str(result.exception)
    assert not (place / "p.csv").exists()
    (place / "s").rmdir()
    (place / "elsewhere").rename(place / "s")
    again = score(place / "s", place / "p.csv", tiny_engine)
    assert (place / "p.csv").read_text().count(",ok,") == IMAGES, again.output
    assert "were done before" in again.output


def test_after_the_clock_was_set_back_every_file_is_read_again(
    place: Path, tiny_engine: Path
) -> None:
    journal = killed(place / "s", place / "p.csv", tiny_engine)
    folder = os.open(journal, os.O_RDONLY)
    begun = read_begun(folder, journal / "run.json")
    os.close(folder)
    assert begun is not None
    # As if the clock had been a day ahead when the run began.
    ahead = (datetime.fromisoformat(begun.begun_utc) + timedelta(days=1)).isoformat()
    (journal / "run.json").write_bytes(content_of(replace(begun, begun_utc=ahead)))
    (place / "s" / "a" / "00.jpg").write_bytes(jpeg_bytes(90))
    result = score(place / "s", place / "p.csv", tiny_engine)
    assert result.exit_code == NOT_ALL, result.output
    assert "changed since scored, row of the old bytes: 1 file (a/00.jpg)" in result.output
