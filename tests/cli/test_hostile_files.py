"""However many files kill their decoders, a run ends, and good files keep their rows."""

import csv
import importlib
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from tests.conftest import jpeg_bytes

# Stands for a defect of a decoder: Pillow gets the files whose header is out of order.
FAULTY_PILLOW = """
import os, signal, time
from PIL import Image
real = Image.open
def open_image(stream, *rest, **options):
    content = stream.getvalue() if hasattr(stream, "getvalue") else b""
    if b"dies-of-a-signal" in content:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"ends-the-process" in content:
        os._exit(70)
    if b"never-ends" in content:
        time.sleep(3600)
    return real(stream, *rest, **options)
Image.open = open_image
"""

HOSTILE = {
    "a0.jpg": (b"dies-of-a-signal", "the decoder died of signal 11"),
    "b0.jpg": (b"ends-the-process", "the decoder died with exit code 70"),
    "c0.jpg": (b"never-ends", "the decoder gave no answer for 1 s, the limit after 2 files"),
}
GOOD = {f"{letter}9.jpg": jpeg_bytes(seed) for seed, letter in enumerate("abz")}


def supervision(monkeypatch: pytest.MonkeyPatch, **numbers: float) -> None:
    """Let few lost workers count as many: a worker takes a second to start."""
    try:
        module = importlib.import_module("hambatch.scoring.worker.supervisor")
    except ModuleNotFoundError:
        module = importlib.import_module("hambatch.supervision")
    for name, value in numbers.items():
        monkeypatch.setattr(module, name, value, raising=False)


def scored(folder: Path, engine: Path, out: Path) -> Result:
    options = ["--engine", str(engine), "--device", "cpu", "--decode-seconds", "5"]
    return CliRunner().invoke(
        hambatch, ["score", str(folder), "--out", str(out), "--batch-size", "4", *options]
    )


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


@pytest.fixture(scope="module")
def clean(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of the good files alone."""
    folder = tmp_path_factory.mktemp("good")
    for name, content in GOOD.items():
        (folder / name).write_bytes(content)
    assert scored(folder, tiny_engine, folder.parent / "clean.csv").exit_code == 0
    return folder.parent / "clean.csv"


def test_more_hostile_files_than_workers_may_be_lost_do_not_stop_a_run(
    tmp_path: Path, tiny_engine: Path, clean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervision(monkeypatch, LOST_AT_MOST=2, KILLERS=2, DECODE_SECONDS_AT_LEAST=1.0)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "sitecustomize.py").write_text(FAULTY_PILLOW)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    folder = tmp_path / "images"
    folder.mkdir()
    for name, content in GOOD.items():
        (folder / name).write_bytes(content)
    for seed, (name, (mark, _)) in enumerate(HOSTILE.items(), 50):
        content = jpeg_bytes(seed, comment=mark)
        (folder / name).write_bytes(content[:20] + b"junk" + content[20:])

    result = scored(folder, tiny_engine, tmp_path / "p.csv")

    assert result.exit_code == 3, result.output
    found = rows(tmp_path / "p.csv")
    for name, (_, reason) in HOSTILE.items():
        row = found.pop(name)
        assert row["status"] == "failed"
        assert row["reason"].startswith(f"cannot be decoded: {reason}")
        assert len(row["sha256"]) == 64
    assert found == rows(clean)
    record = json.loads((tmp_path / "p.csv.run.json").read_text())
    assert len(record["timing"]["workers_lost"]) > 2
