"""A call that the system refuses is one message with a next step, and costs no finished row."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import jpeg_bytes
from tests.faults.failing_calls import Failing, compiled, run_failing


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = compiled(tmp_path_factory.mktemp("library"))
    if found is None:
        pytest.skip("no C compiler (cc, gcc) to make calls fail with")
    return found


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("failing") / "images"
    folder.mkdir()
    (folder / "one.jpg").write_bytes(jpeg_bytes(1))
    return folder


@pytest.fixture(scope="module")
def scored(library: Path, images: Path, tiny_engine: Path) -> Path:
    """A table, made where no file and no folder can be flushed to the disk."""
    out = images.parent / "p.csv"
    words = ["score", str(images), "--out", str(out), "--engine", str(tiny_engine)]
    case = Failing(words, str(images.parent), "fsync", 1, errno.EINVAL, every_later=True)
    [(code, said)] = run_failing(library, [case], images.parent)
    assert code == 0, said
    return out


def messages(found: list[tuple[int, str]]) -> list[str]:
    """What failed commands said; each has to be a message with a next step."""
    for code, said in found:
        assert "Traceback" not in said, said
        assert code in (0, 1, 3), said
        assert code != 1 or "\nNext: " in said, said
    return [said for code, said in found if code == 1]


def test_what_has_no_fsync_is_written_to_and_a_failing_disk_is_not(
    library: Path, tmp_path: Path
) -> None:
    # The second call is that of the folder of the first image.
    numbers = (errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF, errno.EIO)
    words = ["samples", str(tmp_path / "samples"), "--count", "1"]
    cases = [Failing(words, str(tmp_path), "fsync", 2, number) for number in numbers]
    found = run_failing(library, cases, tmp_path)
    assert [code for code, _ in found] == [0, 0, 0, 1], found
    assert len(messages(found)) == 1


def test_a_table_that_cannot_be_read_or_looked_at_is_one_message(
    library: Path, images: Path, scored: Path
) -> None:
    words = ["verify", str(scored), str(images), "--sample", "0"]
    below = str(scored)
    cases = [Failing(words, below, "open", at, errno.EMFILE) for at in (1, 3, 5)]
    cases += [Failing(words, below, "stat", at, errno.EIO) for at in (1, 4)]
    cases += [Failing(words, below, "read", at, errno.ESTALE) for at in (1, 3, 6)]
    assert len(messages(run_failing(library, cases, images.parent))) >= 5


def test_no_refused_call_of_a_run_is_a_traceback_or_spoils_it(
    library: Path, images: Path, scored: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    words = ["score", str(images), "--out", str(out), "--engine", str(tiny_engine)]
    # Before the first row; then where the rows are read back and the table appears.
    cases = [
        Failing(words, str(images), "stat", 1, errno.ESTALE, every_later=True),
        Failing(words, f"{out}.journal", "open", 2, errno.EMFILE),
        Failing(words, f"{out}.journal/listing", "open", 1, errno.EIO),
        Failing(words, f"{out}.journal/listing", "read", 1, errno.ESTALE),
        Failing(words, f"{out}.journal/table.tmp", "open", 1, errno.EACCES),
        Failing(words, f"{out}.journal/run.json", "read", 1, errno.EIO),
    ]
    said = messages(run_failing(library, cases, tmp_path))
    assert len(said) == len(cases)
    assert "--overwrite" not in "".join(said).replace("without --overwrite", "")
    [(code, _)] = run_failing(library, [Failing(words, "", "", 0, 0)], tmp_path)
    assert code == 0
    assert out.read_bytes() == scored.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.csv", "p.csv.run.json"]


def test_too_few_open_files_are_one_message(
    images: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (7, 7))

    words = ["score", images, "--out", tmp_path / "p.csv", "--engine", tiny_engine]
    line = [sys.executable, "-m", "hambatch", *map(str, words)]
    done = subprocess.run(line, cwd=tmp_path, preexec_fn=limit, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Too many open files" in done.stderr
    assert "Next: raise the limit of open files" in done.stderr
    assert not list(tmp_path.glob("p.csv*")) or os.listdir(tmp_path) == ["p.csv.journal"]
