"""Measures how large the code of hambatch is, and how far one image travels in it.

``python tools/house.py`` prints a Markdown table; ``--json`` prints the numbers alone. ROOT is
another checkout, and ``--python`` the interpreter in which that one is installed. The rules of
counting stand in the table.
"""

import argparse
import ast
import io
import json
import os
import subprocess
import sys
import tempfile
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imports import STATEMENTS, Kind, cycles, entries_of, imports_of, unit_of

ROOT = Path(__file__).resolve().parent.parent

HOOK = Path(__file__).resolve().parent / "files_run"
"""Holds a ``sitecustomize.py`` that writes down which files a process runs."""

NOT_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Measure:
    """A number of the table, and how it is counted."""

    key: str
    value: Any
    rule: str


def of_files(package: Path) -> Iterator[Measure]:
    """Count entries, modules, lines and statements."""
    entries = entries_of(package)
    paths = sorted(package.rglob("*.py"))
    texts = [path.read_text(encoding="utf-8") for path in paths]
    trees = [ast.parse(text) for text in texts]
    yield Measure("entries", len(entries), "files and folders at the top, without __pycache__")
    yield Measure(
        "entries_of_python",
        sum(path.is_dir() or path.suffix == ".py" for path in entries),
        "those that are modules or packages: py.typed left out",
    )
    yield Measure("modules", len(texts), "files *.py, __init__.py included")
    sizes = [text.count("\n") for text in texts]
    yield Measure("lines", sum(sizes), "all lines of these files")
    bodies = [size for size, path in zip(sizes, paths, strict=True) if path.stem != "__init__"]
    under, over = sum(size < 45 for size in bodies), sum(size > 400 for size in bodies)
    yield Measure("modules_under_45_lines", under, "all lines counted, __init__.py left out")
    yield Measure("modules_over_400_lines", over, "likewise")
    yield Measure(
        "code_lines",
        sum(map(_code_lines, texts, trees)),
        "lines without comments, docstrings and blank lines",
    )
    yield Measure("statements", sum(map(_statements, trees)), "ast.stmt nodes without docstrings")
    yield Measure(
        "longest_line", max(len(line) for text in texts for line in text.splitlines()), "characters"
    )
    found = [node.name for tree in trees for node in _public(tree)]
    described = [node for tree in trees for node in _public(tree) if ast.get_docstring(node)]
    yield Measure("public", len(found), "classes, functions and methods without a leading _")
    yield Measure(
        "docstrings_percent", round(100 * len(described) / len(found), 2), "share of public ones"
    )


def _docstrings(tree: ast.AST) -> Iterator[ast.Expr]:
    """Find bare strings: docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if isinstance(node.value.value, str):
                yield node


def _statements(tree: ast.AST) -> int:
    everything = sum(isinstance(node, ast.stmt) for node in ast.walk(tree))
    return everything - len(list(_docstrings(tree)))


def _code_lines(text: str, tree: ast.AST) -> int:
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NOT_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in _docstrings(tree):
        lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[Definition]:
    """Find definitions in modules and public classes; those inside functions are no API."""
    for node in tree.body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def of_cycles(package: Path) -> Iterator[Measure]:
    """Count import cycles: groups of units, or modules, that all reach one another."""
    found = imports_of(package)
    for name, of, what in (("package", unit_of, "top-level entries"), ("module", str, "modules")):
        for suffix, kinds, which in (
            ("", STATEMENTS, "imports in functions included, TYPE_CHECKING and strings not"),
            ("_by_name", tuple(Kind), "imports under TYPE_CHECKING and names in strings too"),
        ):
            edges = [(of(one.module), of(one.imported)) for one in found if one.kind in kinds]
            groups = cycles(edges)
            rule = f"groups of {what} that import one another; {which}"
            yield Measure(f"{name}_cycles{suffix}", len(groups), rule)
            largest = max(map(len, groups), default=0)
            yield Measure(f"{name}_cycle_largest{suffix}", largest, f"{what} in the largest group")


def of_one_image(package: Path, python: str) -> Iterator[Measure]:
    """Score one generated image, and count the files that the parent and workers ran."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        env = {**os.environ, "XDG_CACHE_HOME": str(place / "cache")}
        command = [python, "-m", "hambatch"]
        _call([*command, "samples", "image", "--count", "1"], place, env)
        score = [*command, "score", "image", "--out", "preds.csv", "--overwrite"]
        env |= {"PYTHONPATH": str(HOOK), "HOUSE_PACKAGE": str(package)}
        cold = _traced(score, place, env)
        warm = _traced(score, place, env)
    if not warm:
        raise SystemExit(f"{python} ran no file of {package}: is that checkout installed in it?")
    yield Measure("files_run", _files("run", warm), "a function ran, in the parent or a worker")
    rule = "the same by the first run on a machine, which fills the cache of compiled graphs"
    yield Measure("files_run_first", _files("run", cold), rule)
    yield Measure("files_imported", _files("import", warm), "imported there, those run included")
    rule = "those that imported hambatch; Python started with -I is not seen"
    yield Measure("processes", len(warm), rule)


def _traced(command: list[str], place: Path, env: dict[str, str]) -> list[list[str]]:
    """Run a command; give the lines that each process wrote, of those that wrote any."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        _call(command, place, {**env, "HOUSE_TRACE": folder})
        traces = [path.read_text().splitlines() for path in Path(folder).iterdir()]
    return [trace for trace in traces if trace]


def _files(what: str, traces: list[list[str]]) -> int:
    return len({line for trace in traces for line in trace if line.startswith(f"{what} ")})


def _call(command: list[str], folder: Path, env: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr}")


def measures(root: Path, python: str) -> list[Measure]:
    """Take all measures of a checkout."""
    package = root / "hambatch"
    setting = tomllib.loads((root / ".ruff.toml").read_text()).get("line-length")
    return [
        *of_files(package),
        Measure("line_length", setting, "line-length in .ruff.toml"),
        *of_cycles(package),
        *of_one_image(package, python),
    ]


def main() -> None:
    """Print the measures."""
    parser = argparse.ArgumentParser(description="Measure the code of a checkout.")
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="the checkout")
    parser.add_argument("--python", default=sys.executable, help="where hambatch is installed")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    given = parser.parse_args()
    # Not resolved: a virtual environment's python is a link, and is known by its own path.
    found = measures(given.root.resolve(), os.path.abspath(given.python))
    if given.json:
        print(json.dumps({measure.key: measure.value for measure in found}, indent=2))
        return
    print("| measure | value | rule |\n| --- | ---: | --- |")
    for measure in found:
        value = f"{measure.value:,}" if isinstance(measure.value, int) else measure.value
        print(f"| {measure.key.replace('_', ' ')} | {value} | {measure.rule} |")


if __name__ == "__main__":
    main()
