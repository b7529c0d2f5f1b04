"""A machine that computes wrongly once, away from a sentinel: ``--double-check`` finds it."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from tests.conftest import jpeg_bytes
from tests.faults.soft_engine import write_soft_engine

# Runs in the worker. Requests of four images without a sentinel are counted, both times; what is
# done to their logits stands in FAULTS. ``before`` has the answers of all requests so far.
FAULT = """
from itertools import count
import numpy as np
from hambatch.backends.openvino_cpu import OpenVinoBackend

keep, before, numbers = OpenVinoBackend._keep, [], count(1)

class Tensor:
    def __init__(self, data):
        self.data = data

class Spoilt:
    def __init__(self, outputs):
        self._outputs = outputs
    def get_tensor(self, name):
        return Tensor(self._outputs[name])

def keep_spoilt(self, request, sent):
    slot, parts = sent[0], sent[1]
    outputs = {{name: request.get_tensor(name).data.copy() for name in ("logits", "features")}}
    logits, right = outputs["logits"], outputs["logits"].copy()
    indices = [part.pending.batch.indices[part.first + k]
               for part in parts for k in range(len(part.images))]
    if min(indices) >= 0 and len(indices) == 4:
        number = next(numbers)
        {fault}
        if not np.array_equal(logits, right):
            open({marker!r}, "a").close()
    before.append(right)
    keep(self, Spoilt(outputs), sent)

OpenVinoBackend._keep = keep_spoilt
"""

ONCE = """if number == 5: logits[[0, 2]] = logits[[2, 0]]
        if number == 7: logits[:] = 0
        if number == 9: logits[:] = before[-1]"""
"""Swapped, zeroed, and stale: 10 images, and each time no sentinel among them."""

FAULTS = {
    "swapped, zeroed and stale once": (ONCE, 10),
    "drift of 0.02 % once": ("if number == 3: logits *= 1.0002", 4),
    "one slot, always, by 0.001 %": ("if slot == 1: logits *= 1.00001", 1),
}
"""What is done, and how many images are wrong, at least."""

ALL = ("--double-check", "all")


def scored(images: Path, engine: Path, out: Path, *more: str) -> Result:
    line = ["score", str(images), "--out", str(out), "--engine", str(engine), "--device", "cpu"]
    return CliRunner().invoke(hambatch, [*line, "--streams", "2", *more])


@pytest.fixture(scope="module")
def soft_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_soft_engine(tmp_path_factory.mktemp("soft") / "soft")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twice") / "images"
    folder.mkdir()
    for k in range(60):
        (folder / f"picture_{k:02d}.jpg").write_bytes(jpeg_bytes(k))
    return folder


@pytest.fixture(scope="module")
def clean(images: Path, soft_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("clean") / "p.csv"
    result = scored(images, soft_engine, out)
    assert result.exit_code == 0, result.output
    return out


def inject(fault: str, place: Path, patch: pytest.MonkeyPatch) -> Path:
    """Let the worker compute wrongly; gives the file that shows that it did."""
    marker = place / "fired"
    (place / "code").mkdir()
    code = FAULT.format(fault=fault, marker=str(marker))
    (place / "code" / "sitecustomize.py").write_text(code)
    patch.setenv("PYTHONPATH", str(place / "code"))
    return marker


def test_without_it_what_is_wrong_once_away_from_a_sentinel_is_published(
    images: Path,
    clean: Path,
    soft_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fired = inject(ONCE, tmp_path, monkeypatch)
    result = scored(images, soft_engine, tmp_path / "p.csv")
    assert (fired.exists(), result.exit_code) == (True, 0)
    wrong = set((tmp_path / "p.csv").read_text().splitlines()) - set(clean.read_text().splitlines())
    assert len(wrong) == 10


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_once_stops_the_run(
    fault: str,
    images: Path,
    clean: Path,
    soft_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "p.csv"
    code, at_least = FAULTS[fault]
    fired = inject(code, tmp_path, monkeypatch)
    result = scored(images, soft_engine, out, *ALL)
    assert (fired.exists(), result.exit_code) == (True, 1), result.output
    said = str(result.exception)
    found = re.match(r"(\d+) images? of a batch got other scores the second time: picture_", said)
    assert found, said
    assert int(found[1]) >= at_least
    assert f"Next: hambatch engines verify {soft_engine}" in said
    assert not out.exists()
    stopped = json.loads((tmp_path / "p.csv.stopped.json").read_text())
    assert stopped["state"] == "stopped by a double check"
    assert len(stopped["suspect_rows"]) == 60
    if code is ONCE:
        monkeypatch.undo()
        result = scored(images, soft_engine, out)
        assert result.exit_code == 0, result.output
        assert out.read_bytes() == clean.read_bytes()


@pytest.mark.parametrize("share", ["10%", "-1", "101", "nan", "ALL"])
def test_another_share_is_refused_with_what_is_wanted(share: str, tmp_path: Path) -> None:
    result = scored(tmp_path, tmp_path, tmp_path / "p.csv", "--double-check", share)
    assert result.exit_code == 2
    assert f"{share!r} is no number from 0 to 100, nor all." in result.output


def test_a_sound_machine_gives_the_same_bytes_and_the_record_says_what_was_compared(
    images: Path, clean: Path, soft_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    result = scored(images, soft_engine, out, *ALL)
    assert result.exit_code == 0, result.output
    assert out.read_bytes() == clean.read_bytes()
    record = json.loads((tmp_path / "p.csv.run.json").read_text())
    found = record["double_check"]
    # Sentinels are computed twice, too.
    assert found["images"] == 60 + record["sentinels"]["checked"]
    assert (found["percent"], found["differences"]) == (100, 0)
    assert f"the same scores: {found['images']} images in {found['requests']} req" in result.output
    for percent, exit_code in ((100.0, 0), (50.0, 3)):
        record["double_check"]["percent"] = percent
        (tmp_path / "p.csv.run.json").write_text(json.dumps(record))
        words = ["verify", str(out), str(images), "--sample", "0"]
        assert CliRunner().invoke(hambatch, words).exit_code == exit_code
