"""Listing takes no more memory for an archive with a folder for each patient."""

import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from hambatch.sources import images

FOLDERS, ENOUGH_BYTES = 6_000, 400_000


def test_memory_does_not_grow_with_the_number_of_folders(
    tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is to be entered counts, and what was seen."""
    source, find_images, peaks = tmp_path / "source", images.find_images, list[int]()
    source.mkdir()
    for k in range(FOLDERS):
        os.mkdir(source / f"patient_{k:06d}")

    def measured(*arguments: Any, **options: Any) -> Iterator[str]:
        tracemalloc.start()
        yield from find_images(*arguments, **options)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    monkeypatch.setattr(images, "find_images", measured)
    found = CliRunner().invoke(hambatch, ["parity", str(source), "--engine", str(tiny_engine)])
    assert "no image" in f"{found.output}{found.exception}"
    assert len(peaks) == 1
    assert peaks[0] < ENOUGH_BYTES
