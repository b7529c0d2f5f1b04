"""A journal is used only if nobody else can have written it; no link in it is followed."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from hambatch.errors import InputError
from tests.conftest import jpeg_bytes
from tests.faults.holding import Hold
from tests.waiting import lines_in, wait_for

IMAGES, HELD_AT = 200, 25


def command(source: Path, out: Path, engine: Path, *more: str) -> list[str]:
    where = ["--engine", str(engine), "--batch-size", "4", "--threads", "1"]
    return ["score", str(source), "--out", str(out), *where, *more]


def score(source: Path, out: Path, engine: Path, *more: str) -> Result:
    return CliRunner().invoke(hambatch, command(source, out, engine, *more))


def killed(source: Path, out: Path, engine: Path, *more: str, within: Path | None = None) -> Path:
    """Kill a run when it has some rows; gives its journal, which is in the folder ``within``."""
    started = [sys.executable, "-m", "hambatch", *command(source, out, engine, *more)]
    place = within or out.parent

    def begun() -> list[Path]:
        return [rows for rows in place.glob("*.journal/rows") if lines_in(rows) > 1]

    with tempfile.TemporaryDirectory() as code:
        hold = Hold(Path(code), batch=HELD_AT)
        with subprocess.Popen(started, stderr=subprocess.DEVNULL, env=hold.environment) as run:
            (rows,) = wait_for(begun, f"rows in {place}", run)
            run.send_signal(signal.SIGKILL)
        hold.let_go()
    assert not out.exists()
    return rows.parent


@pytest.fixture(scope="module")
def begun(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: the images in ``s``, and the journal of a killed run into ``p.csv``."""
    place = tmp_path_factory.mktemp("begun")
    (place / "s").mkdir()
    for k in range(IMAGES):
        (place / "s" / f"{k:03d}.jpg").write_bytes(jpeg_bytes(k % 7))
    killed(place / "s", place / "p.csv", tiny_engine)
    return place


@pytest.fixture
def out(begun: Path, tmp_path: Path) -> Path:
    """A table's path beside a copy of the journal."""
    shutil.copytree(begun / "p.csv.journal", tmp_path / "p.csv.journal")
    return tmp_path / "p.csv"


def refused(result: Result, out: Path, found: str) -> None:
    assert isinstance(result.exception, InputError), result
    said = str(result.exception)
    assert found in said
    assert "Next: move it away" in said
    assert "--journal-dir" in said
    assert not out.exists()


@pytest.mark.parametrize("name", ["lock", "table.tmp", "rows", "run.json", ".listing.1.tmp"])
@pytest.mark.parametrize("kind", ["symbolic link", "hard links"])
def test_a_link_in_a_journal_is_refused_and_what_it_leads_to_stays(
    begun: Path, tiny_engine: Path, tmp_path: Path, name: str, kind: str
) -> None:
    out, precious = tmp_path / "p.csv", tmp_path / "precious"
    precious.write_bytes(b"precious")
    link = tmp_path / "p.csv.journal" / name
    link.parent.mkdir(mode=0o700)
    precious.chmod(0o600)
    link.symlink_to(precious) if kind == "symbolic link" else link.hardlink_to(precious)
    result = score(begun / "s", out, tiny_engine)
    assert precious.read_bytes() == b"precious"
    refused(result, out, kind)
    assert os.path.lexists(link)


def test_a_journal_that_is_a_link_to_a_folder_is_refused_and_the_folder_stays(
    begun: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out, mine = tmp_path / "p.csv", tmp_path / "mine"
    (mine / "hambatch-paper").mkdir(parents=True, mode=0o700)
    (mine / "hambatch-paper" / "draft.txt").write_text("precious")
    out.with_name("p.csv.journal").symlink_to(mine)
    result = score(begun / "s", out, tiny_engine)
    assert (mine / "hambatch-paper" / "draft.txt").exists()
    refused(result, out, "is a symbolic link, wanted a folder")


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o755])
def test_a_journal_that_others_can_enter_is_refused(
    out: Path, begun: Path, tiny_engine: Path, mode: int
) -> None:
    out.with_name("p.csv.journal").chmod(mode)
    refused(score(begun / "s", out, tiny_engine), out, "is open to other users")


def test_a_file_of_a_journal_that_others_may_write_is_refused(
    out: Path, begun: Path, tiny_engine: Path
) -> None:
    (out.with_name("p.csv.journal") / "rows").chmod(0o666)
    refused(score(begun / "s", out, tiny_engine), out, "rows is open to other users")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder another owner")
@pytest.mark.parametrize("name", ["", "rows"])
def test_a_journal_or_a_file_of_it_that_belongs_to_another_user_is_refused(
    out: Path, begun: Path, tiny_engine: Path, name: str
) -> None:
    os.chown(out.with_name("p.csv.journal") / name, 12345, 12345)
    refused(score(begun / "s", out, tiny_engine), out, "belongs to another user")


def test_a_journal_elsewhere_leaves_only_the_table_and_is_resumed_from_there(
    begun: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out, local = tmp_path / "share" / "p.csv", tmp_path / "local"
    for folder in (out.parent, local):
        folder.mkdir()
    # What stands beside the output is not looked at.
    out.with_name("p.csv.journal").mkdir(mode=0o777)
    more = ["--journal-dir", str(local)]
    killed(begun / "s", out, tiny_engine, *more, within=local)
    # Beside the output nothing was written; the rows are found again.
    assert [path.name for path in out.parent.iterdir()] == ["p.csv.journal"]
    result = score(begun / "s", out, tiny_engine, *more)
    assert result.exit_code == 0, result.output
    assert "were done before" in result.output
    assert out.read_text().count(",ok,") == IMAGES
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "p.csv", "p.csv.journal", "p.csv.run.json"
    ]  # fmt: skip
    assert list(local.iterdir()) == []
