"""What a run does with a calibration: rows, record, resume, and `verify`."""

import csv
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import read_manifest
from hambatch.engines.probabilities import tempered
from hambatch.errors import InputError
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.record import read_record
from hambatch.scoring.run import score
from hambatch.scoring.runner import Progressed
from hambatch.scoring.sentinels.recording import record_sentinels
from hambatch.sinks.formats import read_rows
from hambatch.sinks.publish import record_path
from tests.checks.verify.tampering import found
from tests.conftest import jpeg_bytes
from tests.engines.fitted import calibration_of
from tests.faults.soft_engine import write_soft_engine

T = 1.8


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, a calibrated engine, and a table scored with it."""
    place = tmp_path_factory.mktemp("calibrated")
    engine = write_soft_engine(place / "soft")
    write_manifest(engine, replace(record_sentinels(engine), calibration=calibration_of(T)))
    (place / "images").mkdir()
    for k in range(12):
        (place / "images" / f"{k:02d}.jpg").write_bytes(jpeg_bytes(k))
    (place / "images" / "empty.jpg").touch()
    run(place, place / "preds.csv")
    return place


def run(place: Path, out: Path, kind: str = "auto", **more: object) -> None:
    options = ScoreOptions(engine=str(place / "soft"), **more)  # type: ignore[arg-type]
    score([place / "images"], out, kind, options)


@pytest.fixture
def table(place: Path, tmp_path: Path) -> Path:
    for name in ("preds.csv", "preds.csv.run.json"):
        shutil.copy(place / name, tmp_path / name)
    return tmp_path / "preds.csv"


def test_rows_are_calibrated_unless_switched_off_and_labels_are_the_same(
    place: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain.csv"
    run(place, plain, calibration=False)
    pairs = zip(read_rows(place / "preds.csv", "csv"), read_rows(plain, "csv"), strict=True)
    scored = [(a, b) for a, b in pairs if a.status == "ok"]
    assert len(scored) == 12
    for row, before in scored:
        assert row.prediction == before.prediction
        wanted = tempered(np.array(before.probabilities), T)
        assert np.abs(np.array(row.probabilities) - wanted).max() < 1e-5
        assert max(row.probabilities) < max(before.probabilities)
        # As before in all but the numbers.
        assert replace(row, probabilities=(), malignant=0) == replace(
            before, probabilities=(), malignant=0
        )
    record = read_record(record_path(place / "preds.csv"))
    assert record["calibration"] == {"temperature": T}
    assert record["sentinels"]["deviation_at_start"] < 1e-4
    assert read_record(record_path(plain))["calibration"] == {"temperature": None}
    # That is true as well.
    assert found(plain, place / "images") == set()
    # Without the section the bytes are those of an engine of before.
    old = Path(shutil.copytree(place / "soft", tmp_path / "soft"))
    write_manifest(old, replace(read_manifest(old), calibration=None))
    score([place / "images"], tmp_path / "old.csv", "csv", ScoreOptions(engine=str(old)))
    assert (tmp_path / "old.csv").read_bytes() == plain.read_bytes()
    assert "calibration" not in read_record(record_path(tmp_path / "old.csv"))["fingerprint"]


def test_a_submission_has_the_calibrated_numbers(place: Path, tmp_path: Path) -> None:
    with (place / "preds.csv").open() as stream:
        wanted = [row["p_mel"] for row in csv.DictReader(stream)]
    run(place, tmp_path / "p.csv", "isic")
    with (tmp_path / "p.csv").open() as stream:
        assert [row["MEL"] for row in csv.DictReader(stream)] == wanted


def interrupted(answers: Iterable[Progressed], total: int, done: int) -> Iterator[Progressed]:
    """Stop a run when the first images are answered."""
    for answer in answers:
        yield answer
        raise KeyboardInterrupt


@pytest.mark.parametrize("begun_with", [True, False])
def test_a_run_cannot_be_resumed_the_other_way(
    place: Path, tmp_path: Path, begun_with: bool
) -> None:
    out = tmp_path / "p.csv"
    options = ScoreOptions(engine=str(place / "soft"), calibration=begun_with)
    with pytest.raises(KeyboardInterrupt):
        score([place / "images"], out, "csv", options, progress=interrupted)
    was, now = (f"{T}", "absent") if begun_with else ("absent", f"{T}")
    with pytest.raises(InputError, match=f"calibration temperature was {was}, is {now}"):
        run(place, out, calibration=not begun_with)
    if begun_with:
        run(place, out)
        assert out.read_bytes() == (place / "preds.csv").read_bytes()


def test_a_calibrated_table_is_found_true(place: Path, table: Path) -> None:
    assert found(table, place / "images") == set()


def tamper(table: Path, temperature: float | None, *, everywhere: bool) -> None:
    record = json.loads(record_path(table).read_text())
    record["calibration"]["temperature"] = temperature
    record["fingerprint"]["calibration"]["temperature"] = temperature
    if everywhere:
        record["options"]["calibration"] = temperature is not None
    record_path(table).write_text(json.dumps(record))


@pytest.mark.parametrize("temperature", [T + 0.001, None])
def test_a_record_that_names_another_temperature_is_found(
    place: Path, table: Path, temperature: float | None
) -> None:
    tamper(table, temperature, everywhere=False)
    assert found(table, place / "images") == {("", "another temperature")}


def test_a_record_that_denies_the_calibration_is_found_by_scoring_again(
    place: Path, table: Path
) -> None:
    tamper(table, None, everywhere=True)
    record = json.loads(record_path(table).read_text())
    del record["fingerprint"]["calibration"]
    record_path(table).write_text(json.dumps(record))
    what = [what for _, what in found(table, place / "images")]
    assert len(what) == 12
    assert all("when scored again differ by" in each for each in what)
