"""A calibration in `engine.json` is read whole or refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hambatch.checks.engines import engine_lines
from hambatch.engines.card import HEADING, section, with_section
from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import read_manifest
from hambatch.errors import EngineError
from tests.engine_json import rewrite
from tests.engines.fitted import calibration_of


@pytest.fixture
def folder(tiny_engine: Path, tmp_path: Path) -> Path:
    made = Path(shutil.copytree(tiny_engine, tmp_path / "tiny"))
    write_manifest(made, replace(read_manifest(made), calibration=calibration_of(1.5)))
    return made


def test_what_is_written_is_read_back(folder: Path) -> None:
    assert read_manifest(folder).calibration == calibration_of(1.5)


def test_an_engine_without_one_is_written_as_before_there_were_any(tiny_engine: Path) -> None:
    manifest = read_manifest(tiny_engine)
    assert manifest.calibration is None
    assert "calibration" not in manifest.to_json()


MISSING = object()

ODD = [
    *[("temperature", value) for value in (0, -1.5, float("nan"), float("inf"), "1.5", True, None)],
    ("temperature", MISSING),
    ("warmth", 1),
    ("fitted_on", []),
    ("fitted_on.split_sha256", 5),
    ("fitted_on.parts", "val"),
    ("fitted_on.parts", [1]),
    ("fitted_on.images", 0),
    ("fitted_on.lesions", 2.5),
    ("fitted_on.source", MISSING),
    ("ece.before", 1.5),
    ("ece.after", None),
    ("ece.after_interval", [0.1]),
    ("log_loss", None),
    ("log_loss.before", float("nan")),
    ("log_loss.after_interval", ["low", "high"]),
]


@pytest.mark.parametrize(("where", "value"), ODD)
def test_what_is_no_calibration_is_refused_by_name(folder: Path, where: str, value: object) -> None:
    path = folder / "engine.json"
    whole: dict[str, Any] = json.loads(path.read_text())
    *parents, last = where.split(".")
    part = whole["calibration"]
    for name in parents:
        part = part[name]
    if value is MISSING:
        del part[last]
    else:
        part[last] = value
    rewrite(path, whole)
    with pytest.raises(EngineError, match=f"engine.json cannot be used: .*{last}"):
        read_manifest(folder)


def test_no_calibration_is_no_null(folder: Path) -> None:
    path = folder / "engine.json"
    rewrite(path, json.loads(path.read_text()) | {"calibration": None})
    with pytest.raises(EngineError, match="cannot be used"):
        read_manifest(folder)


def test_the_listing_shows_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hambatch.checks.engines.installed_engines", lambda: [folder])
    assert engine_lines() == [f"tiny  1  fp32  temperature 1.5  {folder}"]


def test_a_card_gets_its_section_before_the_limits_and_keeps_all_else(folder: Path) -> None:
    manifest = read_manifest(folder)
    card = "# tiny 1\n\nA network.\n\n## Data\n\nSome.\n\n## Limits\n\n- One.\n"
    once = with_section(card, manifest)
    assert once.index("Some.") < once.index(HEADING) < once.index("## Limits")
    assert "temperature 1.5000" in once
    assert "measured at another temperature, or without one" in once
    assert with_section(once, manifest) == once
    assert with_section(once, replace(manifest, calibration=None)) == card
    assert with_section("# tiny\n", manifest) == f"# tiny\n\n{section(manifest)}\n"


def test_a_card_says_that_its_figures_are_of_calibrated_probabilities(folder: Path) -> None:
    manifest = replace(read_manifest(folder), metrics={"test": {"temperature": 1.5}})
    assert "The test figures above are of calibrated probabilities." in section(manifest)
