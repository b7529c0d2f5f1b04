"""Code in the current folder, in SOURCE or beside the output never runs.

The names that are planted are those that the processes of a run look for, as they were recorded.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.test_evaluate import write_inputs
from tests.conftest import jpeg_bytes
from tests.engines.int8_engine import with_int8
from tests.waiting import HANGS_S

RECORDER = """
import os, sys
class Recorder:
    def find_spec(self, name, path=None, target=None):
        with open({log!r}, "a") as log:
            log.write(f"{{os.getpid()}} {{name}}\\n")
sys.meta_path.insert(0, Recorder())
"""

PLANTED = "with open({log!r}, 'a') as log:\n    log.write({name!r} + '\\n')\n"

MODULE = ("-m", "hambatch")

NOTHING: tuple[list[str], str] = ([], "")
"""No planted file ran, and the command succeeded."""


@dataclass(frozen=True)
class Place:
    """A current folder, images, a folder of outputs, and what each process of a run imports."""

    root: Path
    engine: Path
    script: Path
    before: frozenset[str]
    all_names: frozenset[str]

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where files that nobody checked may lie."""
        return tuple(self.root / name for name in ("here", "images", "out"))

    def plant(self, names: Iterable[str]) -> None:
        """Put a module of each name into every folder; it writes its name down when it runs."""
        self.forget()
        for folder in self.folders:
            for name in names:
                code = PLANTED.format(log=str(self.root / "ran"), name=f"{folder.name}/{name}")
                (folder / f"{name}.py").write_text(code)

    def forget(self) -> None:
        """Take the planted modules away again."""
        (self.root / "ran").unlink(missing_ok=True)
        for folder in self.folders:
            for file in folder.glob("*.py"):
                file.unlink()
            shutil.rmtree(folder / "__pycache__", ignore_errors=True)

    def start(
        self, how: tuple[str, ...], *words: object, cwd: str = "here", **env: str
    ) -> tuple[list[str], str]:
        """Run a command; give which planted files ran, and what it says if it fails."""
        done = subprocess.run(
            [sys.executable, *how, *map(str, words)],
            cwd=self.root / cwd,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            check=False,
            timeout=HANGS_S,
        )
        log = self.root / "ran"
        ran = sorted(set(log.read_text().split())) if log.exists() else []
        return ran, done.stderr if done.returncode else ""

    def score(self, how: tuple[str, ...], cwd: str = "here", **env: str) -> tuple[list[str], str]:
        """Score the images into the folder of outputs."""
        words = ("score", "../images", "--out", "../out/preds.csv", "--overwrite")
        return self.start(how, *words, "--engine", self.engine, cwd=cwd, **env)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_engine: Path) -> Place:
    """Record the names that all processes of ``python -m hambatch score`` look for.

    The table of that run lies in the folder of outputs.
    """
    root = tmp_path_factory.mktemp("folders")
    for name in ("here", "images", "out", "bin", "recorder"):
        (root / name).mkdir()
    (root / "images" / "a.jpg").write_bytes(jpeg_bytes(0))
    # As pip writes it: Python searches the script's folder first.
    script = root / "bin" / "hambatch"
    script.write_text("from hambatch.cli import main\nif __name__ == '__main__':\n    main()\n")
    log = root / "looked_for"
    (root / "recorder" / "sitecustomize.py").write_text(RECORDER.format(log=str(log)))
    unknown = Place(root, tiny_engine, script, frozenset(), frozenset())
    assert unknown.score(MODULE, PYTHONPATH=str(root / "recorder")) == NOTHING
    looked_for = [line.split() for line in log.read_text().splitlines()]
    parent = [name for process, name in looked_for if process == looked_for[0][0]]
    names = {name.partition(".")[0] for _, name in looked_for}
    assert {"pickle", "multiprocessing", "numpy", "openvino", "nvidia"} <= names
    return Place(
        root,
        tiny_engine,
        script,
        before=frozenset(parent[: parent.index("hambatch")]),
        all_names=frozenset(names | {"sitecustomize", "usercustomize"}) - {"__main__"},
    )


@pytest.mark.parametrize(("cwd", "flags"), [("here", ()), ("images", ("-E",))])
def test_no_module_beside_the_images_runs(place: Place, cwd: str, flags: tuple[str, ...]) -> None:
    """With -E Python reads no PYTHONSAFEPATH, and passes -E on to its children."""
    place.plant(place.all_names)
    assert place.score((*flags, str(place.script)), cwd=cwd) == NOTHING


def test_no_module_beside_the_table_runs_when_it_is_verified(place: Place) -> None:
    place.plant(place.all_names)
    assert place.start((str(place.script),), "verify", "../out/preds.csv", "../images") == NOTHING


def test_python_m_imports_nothing_from_there_once_hambatch_is_imported(place: Place) -> None:
    """What Python itself imports to find hambatch is out of its hands: SECURITY.md says so."""
    place.plant(place.all_names - place.before - {"hambatch"})
    assert place.score(MODULE) == NOTHING


def test_no_empty_entry_names_it_but_a_folder_that_is_named_is_searched(
    place: Place, tmp_path: Path
) -> None:
    """Neither of PYTHONPATH, for a module, nor of PATH, for a program that a library starts."""
    place.plant(["numpy", "openvino", "nvidia"])
    own = PLANTED.format(log=str(place.root / "ran"), name="own")
    (tmp_path / "sitecustomize.py").write_text(own)
    program = place.root / "here" / "uname"
    program.write_text(f"#!/bin/sh\necho uname >>{place.root / 'ran'}\n")
    program.chmod(0o755)
    entries = {"PYTHONPATH": f":{tmp_path}", "PATH": f":{os.environ['PATH']}"}
    done = place.score((str(place.script),), **entries)
    program.unlink()
    assert done == (["own"], "")


def test_an_engine_there_does_not_replace_an_installed_one(place: Place) -> None:
    place.forget()
    folder = place.root / "here" / "three-sources-resnet50"
    folder.mkdir()
    (folder / "engine.json").write_text("forged")
    # The default engine, as in every command.
    done = place.start((str(place.script),), "engines", "show")
    shutil.rmtree(folder)
    assert done == NOTHING


def test_no_weights_there_are_read(place: Place, tmp_path: Path) -> None:
    """OpenVINO imports a compiled graph for every stream but the first, and looks for ``.bin``."""
    place.forget()
    engine = with_int8(place.engine, tmp_path / "int8")
    weights = place.root / "images" / ".bin"
    weights.write_bytes(b"forged" * 1000)
    words = ("score", ".", "--out", "../out/int8.csv", "--engine", engine)
    int8 = ("--precision", "int8", "--force", "--streams", "2")
    done = place.start((str(place.script),), *words, *int8, cwd="images")
    weights.unlink()
    assert done == NOTHING


def test_matplotlib_reads_no_settings_there(place: Place, tmp_path: Path) -> None:
    """With ``text.usetex`` it would run LaTeX."""
    place.forget()
    predictions, truth = write_inputs(tmp_path)
    settings, latex = place.root / "here" / "matplotlibrc", tmp_path / "latex"
    settings.write_text("text.usetex: True\n")
    latex.write_text(f"#!/bin/sh\necho latex >>{place.root / 'ran'}\nexit 1\n")
    latex.chmod(0o755)
    words = ("evaluate", predictions, "--truth", truth, "--out", tmp_path)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = place.start((str(place.script),), *words, PATH=path)
    settings.unlink()
    assert done == NOTHING
