"""A decoder that crashes or hangs costs its file a failed row, and no other file anything."""

import csv
import json
import os
import signal
from pathlib import Path

import pytest

from hambatch.config import ScoreOptions
from hambatch.errors import BackendError
from hambatch.scoring import job_for, score
from hambatch.sources.reading import Item
from hambatch.supervision import SupervisedWorker
from tests.conftest import jpeg_bytes

# Python runs this in every worker as it starts: the decoder dies of, or hangs at, marked files.
INJECTION = """
import os, signal, time
from hambatch.pipelines import dali_scoring
real = dali_scoring.DaliScoring.feed
def feed(self, files):
    for file in files:
        if b"crash-here" in file.content:
            os.kill(os.getpid(), signal.SIGSEGV)
        if b"hang-here" in file.content:
            time.sleep(600)
    real(self, files)
dali_scoring.DaliScoring.feed = feed
"""


@pytest.fixture
def faulty_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "injected"
    place.mkdir()
    (place / "sitecustomize.py").write_text(INJECTION)
    monkeypatch.setenv("PYTHONPATH", str(place))


def marked(seed: int, mark: bytes, lane: str) -> bytes:
    """A good JPEG that carries a mark: in a comment (main lane), or behind its end (slow lane)."""
    return jpeg_bytes(seed, comment=mark) if lane == "main" else jpeg_bytes(seed) + mark


def rows_by_image(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


@pytest.mark.usefixtures("faulty_decoder")
@pytest.mark.parametrize("lane", ["main", "slow"])
@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        (b"crash-here", "cannot be decoded: the decoder died of signal 11"),
        (b"hang-here", "cannot be decoded: the decoder gave no answer for 2 s"),
    ],
)
def test_a_decoder_that_is_lost_costs_one_file_its_row(
    image_folder: Path, tiny_engine: Path, tmp_path: Path, lane: str, mark: bytes, reason: str
) -> None:
    options = ScoreOptions(engine=str(tiny_engine), batch_size=4, decode_seconds=2)
    score(image_folder, tmp_path / "clean.csv", "csv", options)
    (image_folder / "b" / "bad.jpg").write_bytes(marked(70, mark, lane))
    score(image_folder, tmp_path / "mixed.csv", "csv", options)
    rows, clean = rows_by_image(tmp_path / "mixed.csv"), rows_by_image(tmp_path / "clean.csv")
    bad = rows.pop("b/bad.jpg")
    assert (bad["status"], bad["reason"]) == ("failed", reason)
    assert rows == clean
    record = json.loads((tmp_path / "mixed.csv.run.json").read_text())
    assert len(record["timing"]["workers_lost"]) == 2


@pytest.mark.usefixtures("faulty_decoder")
def test_files_that_crash_one_after_the_other_are_each_found(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    options = ScoreOptions(engine=str(tiny_engine), batch_size=4)
    bad = ["a/x1.jpg", "a/x2.jpg", "z.jpg"]
    for k, name in enumerate(bad):
        (image_folder / name).write_bytes(marked(80 + k, b"crash-here", "main"))
    score(image_folder, tmp_path / "p.csv", "csv", options)
    rows = rows_by_image(tmp_path / "p.csv")
    assert [name for name, row in rows.items() if row["status"] == "failed"] == bad
    assert len(rows) == 27


def test_a_worker_killed_by_somebody_else_changes_nothing(
    image_folder: Path, tiny_engine: Path
) -> None:
    options = ScoreOptions(engine=str(tiny_engine), batch_size=2)
    names = sorted(p for p in image_folder.rglob("*.*") if p.is_file())
    groups = [[Item(k + j, names[k + j]) for j in range(2)] for k in range(0, 24, 2)]
    with SupervisedWorker(job_for(tiny_engine, options), 30) as worker:
        answers = worker.answers(groups)
        seen = next(answers).indices.tolist()
        pid = worker._worker._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        for answer in answers:
            seen += answer.indices.tolist()
    assert seen == list(range(24))
    assert worker.lost == ["died of signal 9"]


def test_a_machine_on_which_workers_keep_dying_is_a_bad_set_up(
    image_folder: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nfrom hambatch.pipelines import scoring\n"
        "scoring.ScoringPipeline.batches = lambda *a: os._exit(7)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("hambatch.supervision.LOST_AT_MOST", 3)
    with pytest.raises(BackendError, match="4 workers were lost"):
        score(image_folder, tmp_path / "p.csv", "csv", ScoreOptions(engine=str(tiny_engine)))
    assert not (tmp_path / "p.csv").exists()
