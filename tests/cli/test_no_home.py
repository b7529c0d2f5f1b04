"""A user whom the system does not know, or without a home, can run every command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import jpeg_bytes

UNKNOWN_USER = """
import pwd
def unknown(of):
    raise KeyError(f"uid not found: {of}")
pwd.getpwuid = pwd.getpwnam = unknown
"""
"""As with ``docker run --user 12345``, in every process."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("home")
    (place / "images").mkdir()
    (place / "images" / "one.jpg").write_bytes(jpeg_bytes(1))
    (place / "code").mkdir()
    (place / "code" / "sitecustomize.py").write_text(UNKNOWN_USER)
    (place / "tmp").mkdir()
    (place / "truth.csv").write_text("image_id,dx\none,nv\n")
    return place


def run(folder: Path, *words: object, home: str | None) -> subprocess.CompletedProcess[str]:
    left = {"HOME", "XDG_CACHE_HOME", "LOGNAME", "USER"}
    environment = {name: value for name, value in os.environ.items() if name not in left}
    environment |= {"PYTHONPATH": str(folder / "code"), "TMPDIR": str(folder / "tmp")}
    environment |= {} if home is None else {"HOME": home}
    line = [sys.executable, "-m", "hambatch", *map(str, words)]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def scored(folder: Path, tiny_engine: Path) -> str:
    """What the first command says that this user runs."""
    done = run(folder, "score", "images", "--out", "p.csv", "--engine", tiny_engine, home=None)
    assert done.returncode == 0, done.stderr
    return done.stderr


def private(folder: Path) -> Path:
    return folder / "tmp" / f"hambatch-{os.geteuid()}"


def test_an_unknown_user_without_home_scores_with_a_private_folder_named_once(
    folder: Path, scored: str
) -> None:
    assert f"no home that this user may write to: caches go to {private(folder)}" in scored
    assert private(folder).stat().st_mode & 0o777 == 0o700
    names = {path.name for path in folder.iterdir()}
    assert names == {"images", "code", "tmp", "truth.csv", "p.csv", "p.csv.run.json"}


def test_a_user_whose_home_does_not_exist_evaluates_and_the_folder_is_not_named_again(
    folder: Path, scored: str, tmp_path: Path
) -> None:
    # The look for pictures that the engine was trained on keeps thumbnails.
    words = ["evaluate", "p.csv", "--truth", "truth.csv", "--engine", "none", "--out"]
    done = run(folder, *words, tmp_path / "figures", home=str(folder / "gone"))
    assert done.returncode == 0, done.stderr
    assert str(private(folder)) not in done.stderr
    assert not (folder / "gone").exists()


def test_a_folder_that_others_may_write_to_is_refused(folder: Path, scored: str) -> None:
    private(folder).chmod(0o777)
    try:
        done = run(folder, "engines", "list", home="relative")
    finally:
        private(folder).chmod(0o700)
    assert done.returncode == 1
    assert "Next: set HOME to a folder of your own" in done.stderr
