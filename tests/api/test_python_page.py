"""The Python lines of docs/python.md run as they are: as a script, with -c, in a notebook."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from hambatch.engines.options import SampleOptions
from hambatch.engines.synthetic import write_samples
from tests.conftest import REPOSITORY
from tests.waiting import HANGS_S

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

ONCE = "print('imported', __name__)\n"

# Of a tiny engine: its process starts sooner.
ENDLESS = """
import itertools, os
def endless():
    for number in itertools.count():
        if number == 100:
            print("pid", scorer._loaded._worker._worker._process.pid, os.getpid(), flush=True)
        yield content
scorer, content = hambatch.Scorer({engine!r}), open("samples/sample_00000.jpg", "rb").read()
scorer.table(endless())
"""


def blocks(name: str) -> list[str]:
    return BLOCK.findall((REPOSITORY / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with four samples, and a file that would hide a package from the worker."""
    folder = tmp_path_factory.mktemp("python")
    write_samples(folder / "samples", SampleOptions(count=4))
    (folder / "openvino.py").write_text("raise SystemExit('a file beside the script was run')")
    return folder


def run(place: Path, *words: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_the_lines_of_the_readme_stand_on_the_page() -> None:
    assert blocks("README.md") == blocks("docs/python.md")[:1]


def test_the_page_runs_as_a_script_without_a_guard(place: Path) -> None:
    (place / "page.py").write_text(ONCE + "\n".join(blocks("docs/python.md")))
    lines = run(place, "page.py")
    assert lines.count("imported __main__") == len([x for x in lines if "imported" in x]) == 1
    assert lines[1].startswith("sample_00000.jpg ok ")
    assert "failed: not an image that hambatch reads (text)" in lines
    assert lines[-1] == "True 4 4"


def test_its_first_lines_run_with_c(place: Path) -> None:
    lines = run(place, "-c", blocks("docs/python.md")[0])
    assert [line.split()[1] for line in lines] == ["ok"] * 4


def test_they_run_in_a_notebook_and_interrupting_it_ends_the_workers(
    place: Path, tiny_engine: Path
) -> None:
    endless_lines = ENDLESS.format(engine=str(tiny_engine))
    cells = [*blocks("docs/python.md")[:1], endless_lines]
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    client = NotebookClient(
        notebook, kernel_name="python3", resources={"metadata": {"path": str(place)}}
    )
    with client.setup_kernel():
        first, endless = notebook.cells
        client.execute_cell(first, 0)
        worker = _interrupted(client, endless)
        assert not os.path.exists(f"/proc/{worker}")
    assert first.outputs[0].text.count(" ok ") == 4


def _interrupted(client: NotebookClient, cell: nbformat.NotebookNode) -> int:
    """Execute a cell, interrupt its kernel when it says its worker and itself; gives the worker."""
    found: list[int] = []
    taken: Callable[..., object] = client.process_message

    def process_message(message: dict[str, dict[str, str]], *rest: object) -> object:
        if message["content"].get("text", "").startswith("pid"):
            found.extend(map(int, message["content"]["text"].split()[1:]))
            os.kill(found[1], signal.SIGINT)
        return taken(message, *rest)

    client.process_message = process_message
    with pytest.raises(CellExecutionError, match="KeyboardInterrupt"):
        client.execute_cell(cell, 1)
    return found[0]
