"""No row comes from an engine that replaced the one of the record while a command loaded it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from hambatch.engines.loading import Engine, load_engine, write_manifest
from hambatch.engines.manifest import Manifest, Variant
from hambatch.scoring import run as run_module
from tests.conftest import jpeg_bytes, write_tiny_graph

GRAPH = "model.onnx"


@pytest.fixture
def engine(tiny_engine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_engine, tmp_path / "engine")


@pytest.fixture
def command(engine: Path, tmp_path: Path) -> list[str]:
    """Score one image with the engine."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.jpg").write_bytes(jpeg_bytes(1))
    words = ["score", source, "--engine", engine, "--device", "cpu", "--out", tmp_path / "out.csv"]
    return list(map(str, words))


def replace_engine(folder: Path) -> None:
    """Put another whole engine of the same name there."""
    write_tiny_graph(folder / GRAPH, temperature=3.0)
    variants = (Variant("fp32", GRAPH),)
    write_manifest(folder, Manifest("tiny", "1", files={}, variants=variants))


def run(*arguments: Path | str) -> tuple[int, str]:
    found = CliRunner().invoke(hambatch, list(map(str, arguments)))
    return found.exit_code, f"{found.output}{found.exception}"


def before_the_worker(engine: Path, patch: pytest.MonkeyPatch) -> None:
    """The run has loaded the engine, its worker not yet."""
    plan_run, loaded = run_module.plan_run, load_engine(engine)

    def plan_and_replace(*arguments: Any, **named: Any) -> Any:
        plan = plan_run(*arguments, **named)
        replace_engine(engine)
        return plan

    patch.setattr(run_module, "plan_run", plan_and_replace)
    patch.setattr(run_module, "load_engine", lambda *_: loaded)


def before_the_run(engine: Path, patch: pytest.MonkeyPatch) -> None:
    """The run has planned with the engine, and not loaded it."""

    def replace_and_load(*arguments: Any) -> Engine:
        replace_engine(engine)
        return load_engine(*arguments)

    patch.setattr(run_module, "load_engine", replace_and_load)


@pytest.mark.parametrize("replaced", [before_the_worker, before_the_run])
def test_all_processes_of_a_run_have_one_engine(
    engine: Path,
    command: list[str],
    replaced: Callable[[Path, pytest.MonkeyPatch], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    replaced(engine, monkeypatch)
    code, said = run(*command)
    assert code == 1, said
    assert f"the engine in {engine} was replaced while it was in use" in said
    assert "\nNext: put back the engine" in said
    assert not (tmp_path / "out.csv").exists()


def test_a_graph_that_is_replaced_after_its_hash_was_checked_is_refused(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Engine.external_data

    def replace_and_find(self: Engine, precision: str) -> list[str]:
        write_tiny_graph(engine / GRAPH, temperature=3.0)
        return find(self, precision)

    monkeypatch.setattr(Engine, "external_data", replace_and_find)
    code, said = run("engines", "verify", engine)
    assert code == 1, said
    assert f"{GRAPH} is not the file that the engine was made with" in said


def test_a_graph_that_was_only_touched_is_used(
    engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Engine.external_data

    def touch_and_find(self: Engine, precision: str) -> list[str]:
        (engine / GRAPH).touch()
        return find(self, precision)

    monkeypatch.setattr(Engine, "external_data", touch_and_find)
    assert run("engines", "verify", engine)[0] == 0
