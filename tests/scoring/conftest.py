"""A folder that no test changes, its table, and faults that have to fire."""

import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from tests.conftest import write_images

Inject = Callable[[str], Path]


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures of ``image_folder``, for tests that only read them."""
    return write_images(tmp_path_factory.mktemp("read_only") / "images")


@pytest.fixture(scope="session")
def clean(images: Path, tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their table, with its record beside it; made with the umask 027."""
    out = tmp_path_factory.mktemp("clean") / "clean.csv"
    before = os.umask(0o027)
    try:
        outcome = score([images], out, "csv", ScoreOptions(engine=str(tiny_engine)))
    finally:
        os.umask(before)
    assert outcome.complete
    return out


@pytest.fixture
def inject(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Inject]:
    """Let every process that is started from now on run some code first.

    The code calls ``fired()`` where the fault does its harm: a test whose fault never fires
    shows nothing, and fails. Gives the file that ``fired()`` leaves.
    """
    markers: list[Path] = []

    def write(code: str) -> Path:
        place = tmp_path_factory.mktemp("injected")
        marker = place / "fired"
        head = f"def fired():\n    open({str(marker)!r}, 'a').close()\n"
        (place / "sitecustomize.py").write_text(head + textwrap.dedent(code))
        monkeypatch.setenv("PYTHONPATH", str(place))
        markers.append(marker)
        return marker

    yield write
    assert all(marker.exists() for marker in markers), "an injected fault did not fire"
