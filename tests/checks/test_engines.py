"""What `hambatch engines` prints about installed engines."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hambatch.checks.engines import engine_lines
from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import read_manifest
from tests.engines.fitted import calibration_of


def test_the_listing_shows_a_fitted_temperature(
    tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(tiny_engine, tmp_path / "tiny"))
    monkeypatch.setattr("hambatch.checks.engines.installed_engines", lambda: [tiny_engine, folder])
    write_manifest(folder, replace(read_manifest(folder), calibration=calibration_of(1.5)))
    assert engine_lines() == [
        f"tiny  1  fp32  {tiny_engine}",
        f"tiny  1  fp32  temperature 1.5  {folder}",
    ]
