"""What a machine gave for the sentinels is kept privately, and a run that drifts from it stops."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest

from hambatch.checks.engines import verify_engine
from hambatch.engines.loading import Engine, load_engine
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.scoring.sentinels.own_answers import Answers, own_answers
from hambatch.scoring.sentinels.recording import record_sentinels, score_sentinels
from hambatch.scoring.sentinels.reference import EARLIER, Reference
from hambatch.scoring.worker.protocol import Job
from hambatch.system.files import CHECKSUM
from tests.conftest import write_tiny_engine

ANSWERS: Answers = {k: (np.full(7, 1 / 7), np.linspace(-1, 1, 7) * (k + 1)) for k in range(4)}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hambatch" / "sentinels"


@pytest.fixture
def engine(tiny_engine: Path) -> Engine:
    return load_engine(tiny_engine)


def job_of(engine: Engine) -> Job:
    return plan_run(engine.folder, ScoreOptions.on_cpu(engine=str(engine.folder))).job


def test_what_one_run_keeps_the_next_finds_bit_by_bit(cache: Path, engine: Engine) -> None:
    job = job_of(engine)
    first = own_answers(engine, job)
    assert (first.kept, first.state) == (None, "none")
    first.keep(ANSWERS)
    assert first.state == "made"
    second = own_answers(engine, job)
    assert second.state == "kept"
    for number, pair in ANSWERS.items():
        np.testing.assert_array_equal(second.kept[number], pair)
    (file,) = cache.iterdir()
    assert (file.stat().st_mode & 0o777, cache.stat().st_mode & 0o777) == (0o600, 0o700)
    # Numbers only: nothing says whose machine it is, or where images lie.
    assert json.loads(file.read_text()).keys() == {"answers", "format", CHECKSUM}


@pytest.mark.parametrize("how", ["cut", "changed", "link", "open", "fewer"])
def test_a_file_that_is_not_as_it_was_written_counts_as_missing(
    cache: Path, engine: Engine, tmp_path: Path, how: str
) -> None:
    own_answers(engine, job_of(engine)).keep(ANSWERS)
    (file,) = cache.iterdir()
    whole = file.read_text()
    if how == "cut":
        file.write_text(whole[:-20])
    elif how == "changed":
        file.write_text(whole.replace("-1.0", "-1.1", 1))
    elif how == "link":
        file.rename(tmp_path / "elsewhere")
        os.symlink(tmp_path / "elsewhere", file)
    elif how == "open":
        file.chmod(0o644)
    else:
        file.unlink()
        own_answers(engine, job_of(engine)).keep({0: ANSWERS[0]})
    assert own_answers(engine, job_of(engine)).kept is None


def test_they_hold_for_one_graph_precision_and_machine_only(
    cache: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(engine)
    own_answers(engine, job).keep(ANSWERS)
    assert own_answers(engine, dataclasses.replace(job, precision="bf16")).kept is None
    assert own_answers(engine, dataclasses.replace(job, backend="keras")).kept is None
    assert own_answers(engine, job, wanted=False).kept is None
    place = "hambatch.scoring.sentinels.own_answers"
    monkeypatch.setattr(f"{place}.cpu_name", lambda: "another")
    assert own_answers(engine, job).kept is None


def test_where_nothing_can_be_kept_a_run_goes_on_without(cache: Path, engine: Engine) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("a file where the folder should be")
    own = own_answers(engine, job_of(engine))
    own.keep(ANSWERS)
    assert own.state == "none"
    # For the rest of this run they count all the same.
    assert own.kept == ANSWERS


def test_a_drift_that_the_record_allows_is_noticed_against_an_earlier_run(engine: Engine) -> None:
    spec = engine.manifest.sentinels
    probabilities, logits = ANSWERS[0]
    drifted = logits * 1.0015
    assert Reference(spec, "").miss(0, probabilities, drifted, "dali-cpu") is None
    miss = Reference(spec, "", ANSWERS).miss(0, probabilities, drifted, "dali-cpu")
    assert miss is not None
    assert miss.reference == EARLIER


def test_verify_takes_the_answers_anew(cache: Path, tmp_path: Path) -> None:
    folder = write_tiny_engine(tmp_path / "tiny")
    record_sentinels(folder)
    engine = load_engine(folder)
    own_answers(engine, job_of(engine)).keep(ANSWERS)
    verify_engine(folder)
    found = own_answers(engine, job_of(engine)).kept
    assert found is not None
    assert not np.array_equal(found[0][1], ANSWERS[0][1])
    again = score_sentinels(engine)
    assert again["own_answers"] == "made"


def test_verify_takes_the_answers_of_an_engine_without_sentinels_anew(
    cache: Path, engine: Engine
) -> None:
    own_answers(engine, job_of(engine)).keep(ANSWERS)
    verify_engine(engine.folder)
    found = own_answers(engine, job_of(engine)).kept
    assert found is not None
    assert not np.array_equal(found[0][1], ANSWERS[0][1])
