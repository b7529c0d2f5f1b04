"""The second look at SOURCE: by the rules of the first one, and honest where it cannot be had."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from hambatch.errors import InputError
from hambatch.scoring.journal.folder import journal_folder, open_journal
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from hambatch.scoring.runner import Progress, Progressed
from hambatch.sinks.publish import record_path
from tests.conftest import png_bytes


def at_the_end(change: Callable[[], object]) -> Progress:
    """Change something when all images are scored, before the run ends."""

    def progress(answers: Iterable[Progressed], total: int, done: int) -> Iterator[Progressed]:
        yield from answers
        change()

    return progress


def test_what_came_went_and_changed_is_counted_and_what_was_only_touched_is_not(
    images: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(images, tmp_path / "images"))

    def change() -> None:
        before = (source / "last.png").stat()
        (source / "last.png").write_bytes(png_bytes(7))
        os.utime(source / "last.png", ns=(before.st_atime_ns, before.st_mtime_ns))
        (source / "b").rename(source / "renamed")
        (source / "a" / "notes.txt").write_text("no image")
        (source / "picture_03.jpg").chmod(0o600)
        os.utime(source / "picture_06.jpg")
        (source / "to_a").symlink_to("a")

    options = ScoreOptions(engine=str(tiny_engine))
    outcome = score([source], source / "p.csv", "csv", options, progress=at_the_end(change))
    changes = outcome.changes
    assert (changes.added, changes.gone, changes.changed) == (7, 7, 1)
    assert changes.added_names[0] == "renamed/c/picture_02.jpg"
    assert changes.changed_names == ["last.png"]
    assert not outcome.complete


def test_a_source_that_is_gone_at_the_end_costs_no_row_and_is_not_called_unchanged(
    images: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(images, tmp_path / "share"))

    unmount = at_the_end(lambda: source.rename(tmp_path / "elsewhere"))
    options = ScoreOptions(engine=str(tiny_engine))
    outcome = score([source], tmp_path / "p.csv", "csv", options, progress=unmount)
    assert outcome.tally.scored == 24
    assert not outcome.complete
    recorded = json.loads(record_path(tmp_path / "p.csv").read_text())["changed_since_begun"]
    assert (recorded["added"], recorded["changed"]) == (None, None)
    assert "does not exist" in recorded["problem"]


def test_links_to_one_table_have_one_lock(images: Path, tiny_engine: Path, tmp_path: Path) -> None:
    out, link = tmp_path / "place" / "p.csv", tmp_path / "link.csv"
    out.parent.mkdir()
    link.symlink_to(out)
    with open_journal(out), pytest.raises(InputError, match="another run is writing"):
        score([images], link, "auto", ScoreOptions(engine=str(tiny_engine)))
    assert not journal_folder(out).exists()
