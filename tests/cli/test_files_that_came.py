"""Files that came, went or were replaced while a run scored: it looks again before it ends."""

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from tests.conftest import jpeg_bytes
from tests.faults.holding import Hold
from tests.waiting import lines_in, wait_for

NOT_ALL = 3


def folder_of(images: int, folder: Path) -> Path:
    folder.mkdir()
    for k in range(images):
        (folder / f"{k:03d}.jpg").write_bytes(jpeg_bytes(k % 7))
    return folder


def command(source: Path, out: Path, engine: Path, *more: str) -> list[str]:
    return ["score", str(source), "--out", str(out), "--engine", str(engine), *more]


def score(*named: Path | str) -> Result:
    return CliRunner().invoke(hambatch, command(*named))


def since_begun(out: Path) -> dict[str, object]:
    return json.loads(out.with_name(f"{out.name}.run.json").read_text())["changed_since_begun"]


def wait_for_rows(out: Path) -> None:
    wait_for(lambda: lines_in(Path(f"{out}.journal/rows")), "rows")


def replace(path: Path, seed: int) -> None:
    """Put another picture into a file's place, as rsync and most programs do."""
    beside = path.with_name(".new")
    beside.write_bytes(jpeg_bytes(seed))
    beside.replace(path)


def test_a_file_that_comes_after_a_kill_has_no_row_and_the_resumed_run_says_so(
    tiny_engine: Path, tmp_path: Path
) -> None:
    source, out = folder_of(8, tmp_path / "s"), tmp_path / "p.csv"
    hold = Hold(tmp_path / "hold", batch=1)
    started = [sys.executable, "-m", "hambatch", *command(source, out, tiny_engine)]
    with subprocess.Popen(started, stderr=subprocess.DEVNULL, env=hold.environment) as run:
        wait_for(lambda: hold.is_held, "the run decodes images", run)
        run.send_signal(signal.SIGKILL)
    hold.let_go()
    assert not out.exists()
    (source / "new.jpg").write_bytes(jpeg_bytes(90))
    result = score(source, out, tiny_engine)
    assert "new.jpg" not in out.read_text()
    assert result.exit_code == NOT_ALL, result.output
    assert "came since the run began, no row: 1 file (new.jpg)" in result.output
    assert "Next: add --update" in result.output
    assert since_begun(out)["added"] == 1


@pytest.fixture(scope="module")
def first(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A table, and what its run said: files came meanwhile, and one was replaced."""
    place = tmp_path_factory.mktemp("first")
    source, out = folder_of(250, place / "s"), place / "p.csv"
    (source / "cut.jpg").write_bytes(jpeg_bytes(5)[:300])
    hold = Hold(place / "hold", batch=25)

    def change() -> None:
        wait_for(lambda: hold.is_held, "the run decodes images")
        (source / "sub").mkdir()
        for name in ("late.jpg", "sub/later.jpg"):
            (source / name).write_bytes(jpeg_bytes(90))
        wait_for_rows(out)
        replace(source / "000.jpg", 91)
        hold.let_go()

    changing = threading.Thread(target=change)
    changing.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", hold.environment["PYTHONPATH"])
        result = score(source, out, tiny_engine, "--batch-size", "4", "--threads", "1")
    changing.join()
    return out, result


def test_files_that_come_and_are_replaced_during_a_run_are_counted_and_named(
    first: tuple[Path, Result],
) -> None:
    out, result = first
    assert result.exit_code == NOT_ALL, result.output
    assert "came since the run began, no row: 2 files (late.jpg, sub/later.jpg)" in result.output
    assert "changed since scored, row of the old bytes: 1 file (000.jpg)" in result.output
    found = since_begun(out)
    assert (found["added"], found["gone"], found["changed"]) == (2, 0, 1)


def test_a_retry_looks_again_too_and_knows_when_the_kept_rows_were_scored(
    first: tuple[Path, Result], tiny_engine: Path
) -> None:
    out, source = first[0], first[0].with_name("s")
    (source / "cut.jpg").write_bytes(jpeg_bytes(5))
    (source / "001.jpg").unlink()
    result = score(source, out, tiny_engine, "--retry-failed", "--batch-size", "4")
    assert ",failed," not in out.read_text()
    assert result.exit_code == NOT_ALL, result.output
    found = since_begun(out)
    assert (found["added"], found["gone"], found["changed"]) == (2, 1, 1)
    assert found["changed_names"] == ["000.jpg"]
