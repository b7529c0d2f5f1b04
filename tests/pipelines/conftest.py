"""A stderr that is a file, as every worker has one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def stderr_file(tmp_path: Path) -> Iterator[Path]:
    """Send what this process prints, from native code too, to a file."""
    path, before = tmp_path / "stderr.log", os.dup(2)
    with path.open("a+b") as stream:
        os.dup2(stream.fileno(), 2)
    yield path
    os.dup2(before, 2)
    os.close(before)
