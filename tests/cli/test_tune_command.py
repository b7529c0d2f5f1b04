"""`hambatch engines tune`: measured on own images, kept for this machine, used, forgotten."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result

from hambatch.bench.measuring import Measured, Show, Task, take_turns
from hambatch.checks import tune as checks_tune
from hambatch.checks.engines import engine_lines
from hambatch.checks.options import TuneOptions
from hambatch.cli import hambatch
from hambatch.cli.engines import tune
from hambatch.engines.manifest import read_manifest
from hambatch.engines.precision import tuned_here
from hambatch.errors import EngineError, InputError
from hambatch.scoring.record import read_record
from hambatch.sinks.publish import record_path
from tests.conftest import claim_bfloat16, jpeg_bytes
from tests.engines.int8_engine import with_int8

RATES = {"fp32": 65.0, "int8": 134.0}


def at_known_rates(tasks: Mapping[str, Task], repeats: int, show: Show) -> dict[str, Measured]:
    """Take the turns, and give them other durations: a tiny graph is as fast in FP32."""
    measured = take_turns(tasks, repeats, show)
    assert all(turn.images >= 128 for found in measured.values() for turn in found.turns)
    return {
        name: replace(found, turns=tuple(replace(t, seconds=t.images / RATES[name]) for t in turns))
        for name, found in measured.items()
        if (turns := found.turns)
    }


def invoke(*words: object) -> Result:
    return CliRunner().invoke(hambatch, [*map(str, words)])


def test_every_option_is_a_field_of_the_config_with_its_default() -> None:
    own = {"sources", "forget"}
    options = {option.name: option.default for option in tune.params if option.name not in own}
    assert options == {field.name: field.default for field in fields(TuneOptions)}


class Machine(NamedTuple):
    """One on which an engine with an INT8 graph was tuned, the images, and what was printed."""

    engine: Path
    images: Path
    tuned: Result


@pytest.fixture(scope="module")
def machine(graded_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    place = tmp_path_factory.mktemp("machine")
    engine, images = with_int8(graded_engine, place / "graded"), place / "images"
    images.mkdir()
    for k in range(101):
        (images / f"{k:03d}.jpg").write_bytes(jpeg_bytes(k))
    (images / "000.jpg").write_bytes(b"")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        # One precision is enough, and one turn of it.
        claim_bfloat16(patch, set())
        patch.setattr(checks_tune, "TURNS", 1)
        patch.setattr(checks_tune, "take_turns", at_known_rates)
        yield Machine(engine, images, invoke("engines", "tune", images, "--engine", engine))


def test_it_prints_what_was_measured_and_what_runs_from_now_on(machine: Machine) -> None:
    assert machine.tuned.exit_code == 0, machine.tuned.output
    lines = machine.tuned.output.splitlines()
    assert lines[0] == "graded 1 on 101 of 101 images, 1 of them left out"
    assert lines[1] == "  1 x empty file"
    assert [line.split()[0] for line in lines[2:5]] == ["precision", "fp32", "int8"]
    assert lines[4].endswith("within")
    runs = "--precision auto runs int8 on this machine's CPU (tuned on 100 own images, "
    assert any(line.startswith(runs) for line in lines)
    (tuning, _) = tuned_here(read_manifest(machine.engine))
    assert tuning
    assert (tuning.images, tuning.rates) == (100, RATES)
    assert 0 < tuning.by_name["int8"].drift <= tuning.by_name["int8"].largest_drift < 0.05
    assert str(machine.images) not in machine.tuned.output


def test_the_listing_says_when(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hambatch.checks.engines.installed_engines", lambda: [machine.engine])
    (tuning, _) = tuned_here(read_manifest(machine.engine))
    assert tuning
    assert engine_lines() == [f"graded  1  fp32,int8  tuned {tuning.date}  {machine.engine}"]


def test_runs_use_it_and_are_not_continued_in_another_precision_once_it_is_forgotten(
    machine: Machine, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    run = ("score", machine.images, "--out", out, "--engine", machine.engine, "--device", "cpu")
    done = invoke(*run)
    assert done.exit_code == 3, done.output
    assert "openvino-int8 (tuned on 100 own images, " in done.stderr
    record = read_record(record_path(out))
    used = {key: record["precision"][key] for key in ("wanted", "used", "gate", "forced")}
    assert used == {"wanted": "auto", "used": "int8", "gate": "tuned", "forced": False}
    assert record["fingerprint"]["backend"]["precision"] == "int8"
    verified = invoke("verify", out, machine.images, "--sample", 0)
    assert verified.exit_code == 0, verified.output

    forget = ("engines", "tune", "--forget", "--engine", machine.engine)
    assert "is removed; --precision auto runs fp32 here" in invoke(*forget).stdout
    assert "was not there" in invoke(*forget).stdout
    table = out.read_bytes()
    refused = invoke(*run, "--retry-failed")
    assert isinstance(refused.exception, InputError)
    assert "backend precision was int8, is fp32" in str(refused.exception)
    assert out.read_bytes() == table


@pytest.mark.parametrize("words", [[], ["images", "--forget"], ["images", "--count", 99]])
def test_a_wrong_command_line_is_refused(words: list[object]) -> None:
    assert invoke("engines", "tune", *words).exit_code == 2


def test_too_few_images_and_a_folder_that_is_open_to_others_are_refused_before_any_work(
    image_folder: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = with_int8(tiny_engine, tmp_path / "tiny")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    found = invoke("engines", "tune", image_folder, "--engine", engine)
    assert isinstance(found.exception, InputError)
    assert "24 images to tune with, wanted at least 100: 76 missing" in str(found.exception)
    folder = tmp_path / "mine" / "hambatch" / "tuned"
    assert list(folder.iterdir()) == []
    folder.chmod(0o755)
    found = invoke("engines", "tune", image_folder, "--engine", engine)
    assert isinstance(found.exception, InputError)
    assert "Next: chmod 700 " in str(found.exception)


@pytest.mark.usefixtures("without_bfloat16")
def test_an_engine_without_a_cheaper_precision_has_nothing_to_tune(
    image_folder: Path, tiny_engine: Path
) -> None:
    found = invoke("engines", "tune", image_folder, "--engine", tiny_engine)
    assert isinstance(found.exception, EngineError)
    assert "no int8 graph" in str(found.exception)
