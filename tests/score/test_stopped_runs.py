"""A backend that answers wrongly ends the run, and no wrong row gets into the table."""

import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from hambatch.errors import SentinelError
from hambatch.score.journal.folder import journal_folder, open_journal
from hambatch.score.options import ScoreOptions
from hambatch.score.run import score
from hambatch.sinks.formats import read_rows
from hambatch.types import Row
from tests.conftest import jpeg_bytes

WRONG = """
from hambatch.backends.openvino_cpu import OpenVinoBackend
real = OpenVinoBackend.predict
def predict(self, batches):
    for number, scored in enumerate(real(self, batches)):
        {fault}
        yield scored
OpenVinoBackend.predict = predict
"""
FAULTS = {
    "one slot": "scored.logits[5:6] = scored.logits[5:6, ::-1].copy()",
    "one batch": "if number == 7: scored.logits[:] = scored.logits[:, ::-1].copy()",
    "one batch whose images change places": (
        "if number == 7: scored.logits[:] = scored.logits[::-1].copy()"
    ),
    "one class from one batch on": "if number > 7: scored.logits[:, 3] += 1",
    "no numbers": "if number == 7: scored.logits[:] = float('nan')",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    images.mkdir()
    for k in range(300):
        (images / f"{k:03d}.jpg").write_bytes(jpeg_bytes(k))
    return images


@pytest.mark.parametrize("fault", list(FAULTS))
def test_the_sentinels_stop_the_run_and_name_what_is_suspect(
    folder: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    whole, out = tmp_path / "whole.csv", tmp_path / "p.csv"
    options = ScoreOptions(engine=str(tiny_engine), batch_size=16)
    score(folder, whole, "csv", options)
    rows = {row.image: row for row in read_rows(whole, "csv")}
    (tmp_path / "sitecustomize.py").write_text(WRONG.format(fault=FAULTS[fault]))
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(SentinelError, match=r"in batch \d+") as stopped:
            score(folder, out, "csv", options)
    assert not out.exists()
    record = json.loads((tmp_path / "p.csv.stopped.json").read_text())
    assert record["state"] == "stopped by a sentinel"
    assert record["why"] == str(stopped.value)
    assert record["suspect_rows"] == sorted(record["suspect_rows"])
    assert record["suspect_rows"]
    # Of what is kept, every row is right.
    kept = journalled(out)
    assert kept == {name: rows[name] for name in kept}
    assert not kept.keys() & set(record["suspect_rows"])
    outcome = score(folder, out, "csv", options)
    assert outcome.kept == len(kept)
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "p.csv.stopped.json").exists()


def journalled(out: Path) -> dict[str, Row]:
    with open_journal(out) as journal:
        listing = journal.listing()
        with closing(journal.rows(listing.count)) as log:
            names = list(listing)
            return {names[k]: log.row(k, names[k]) for k in range(listing.count) if k in log}


def test_rows_that_a_wrong_slot_gave_do_not_outlive_a_kill(
    folder: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole.csv", tmp_path / "p.csv"
    options = ScoreOptions(engine=str(tiny_engine), batch_size=16)
    score(folder, whole, "csv", options)
    fault = FAULTS["one slot"] + "\n        __import__('time').sleep(0.2)"
    (tmp_path / "sitecustomize.py").write_text(WRONG.format(fault=fault))
    named = ["score", folder, "--out", out, "--engine", tiny_engine, "--batch-size", 16]
    command = [sys.executable, "-m", "hambatch", *map(str, named)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    rows = journal_folder(out) / "rows"
    while run.poll() is None and not (rows.exists() and rows.read_bytes().count(b"\n") > 8):
        time.sleep(0.01)
    run.kill()
    run.wait(timeout=30)
    right = {row.image: row for row in read_rows(whole, "csv")}
    kept = journalled(out)
    assert kept
    assert kept == {name: right[name] for name in kept}
    score(folder, out, "csv", options)
    assert out.read_bytes() == whole.read_bytes()


def test_rows_that_a_lost_worker_gave_are_scored_again_unless_vouched_for(
    folder: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole.csv", tmp_path / "p.csv"
    options = ScoreOptions(engine=str(tiny_engine), batch_size=16)
    score(folder, whole, "csv", options)
    # The first worker answers wrongly in one slot, and dies before a sentinel gets there.
    marker = tmp_path / "first"
    marker.touch()
    fault = (
        f"import os, pathlib\n        first = pathlib.Path({str(marker)!r})\n"
        "        if first.exists(): scored.logits[5:6] = scored.logits[5:6, ::-1].copy()\n"
        "        if first.exists() and number == 2:\n"
        "            first.unlink(); os.kill(os.getpid(), 11)"
    )
    (tmp_path / "sitecustomize.py").write_text(WRONG.format(fault=fault))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    score(folder, out, "csv", options)
    assert not marker.exists()
    assert out.read_bytes() == whole.read_bytes()
