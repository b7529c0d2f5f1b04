"""A backend that answers wrongly ends the run, and no wrong row gets into the table."""

import json
from pathlib import Path

import pytest

from hambatch.config import ScoreOptions
from hambatch.journal.folder import journal_folder
from hambatch.run_record import record_path
from hambatch.scoring import score
from hambatch.sentinels import SentinelError
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
    (tmp_path / "sitecustomize.py").write_text(WRONG.format(fault=FAULTS[fault]))
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        with pytest.raises(SentinelError, match=r"in batch \d+") as stopped:
            score(folder, out, "csv", options)
    assert not out.exists()
    record = json.loads(record_path(out).read_text())
    assert record["state"] == "stopped by a sentinel"
    assert record["why"] == str(stopped.value)
    suspects = record["suspect_rows"]
    assert suspects == sorted(suspects)
    assert suspects
    # What is kept of the run is right: the rest is scored again, by a machine that is well.
    kept = (journal_folder(out) / "rows").read_bytes().count(b',"ok",')
    outcome = score(folder, out, "csv", options)
    assert outcome.kept <= kept
    assert not set(suspects) - {f"{k:03d}.jpg" for k in range(300)}
    assert out.read_bytes() == whole.read_bytes()
