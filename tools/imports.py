"""Which module of a package imports which, read from the syntax of its files.

``tests/test_layers.py`` holds the order of the packages with it; ``tools/house.py`` counts
import cycles.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path


class Kind(StrEnum):
    """How a module names another one."""

    TOP = "top level"
    LAZY = "in a function"
    TYPING = "TYPE_CHECKING"
    STRING = "string"


STATEMENTS = (Kind.TOP, Kind.LAZY)
"""Imports that Python executes: in a cycle of these, a module may be half loaded."""


@dataclass(frozen=True, order=True)
class Import:
    """``module`` names ``imported`` in a line; both are dotted names of the same package."""

    module: str
    line: int
    imported: str
    kind: Kind

    def __str__(self) -> str:
        """Show the line as an editor finds it."""
        return f"{self.module}:{self.line} imports {self.imported} ({self.kind})"


def modules_in(package: Path) -> dict[str, Path]:
    """Find the files of all modules by dotted name; ``__init__.py`` has its folder's name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def entries_of(package: Path) -> list[Path]:
    """Find files and folders at the top; a folder that holds compiled modules alone is none."""
    sources = (path for path in package.rglob("*") if path.is_file())
    parts = (path.relative_to(package).parts for path in sources)
    return sorted(
        {package / first for first, *rest in parts if "__pycache__" not in (first, *rest)}
    )


def imports_of(package: Path) -> list[Import]:
    """Collect every import of the package's own modules, and their names in strings.

    An import of the package itself counts only if it takes more than a dunder name:
    ``from hambatch import __version__`` is left out, ``from hambatch import Scorer`` is not.
    """
    modules = modules_in(package)
    found: set[Import] = set()
    for name, path in modules.items():
        reader = _Reader(name, path.name == "__init__.py", set(modules))
        reader.visit(ast.parse(path.read_text(encoding="utf-8"), str(path)))
        found |= reader.found
    return sorted(found)


class _Reader(ast.NodeVisitor):
    """Collects the imports of one module."""

    def __init__(self, name: str, is_package: bool, modules: set[str]) -> None:
        self.found: set[Import] = set()
        self._name = name
        self._package = name if is_package else name.rpartition(".")[0]
        self._modules = modules
        self._root = name.partition(".")[0]
        self._in_string = re.compile(rf"(?<![\w./]){self._root}(?:\.\w+)+")
        self._kind = Kind.TOP
        self._binds_root = False

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Read a function: what it imports is lazy."""
        self._inside(Kind.TYPING if self._kind == Kind.TYPING else Kind.LAZY, [node])

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_If(self, node: ast.If) -> None:
        """Read a condition: under TYPE_CHECKING nothing is imported when it runs."""
        typing = ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        self._inside(Kind.TYPING if typing else self._kind, node.body, whole=True)
        self._inside(self._kind, [node.test, *node.orelse], whole=True)

    def visit_Import(self, node: ast.Import) -> None:
        """Read ``import a.b``."""
        for alias in node.names:
            self._binds_root |= alias.name.partition(".")[0] == self._root
            self._add(node, alias.name, self._kind)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """Read ``from a import b``, where b is a module or a name in one."""
        start = node.module or ""
        if node.level:
            parents = self._package.split(".")
            start = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [start])])
        for alias in node.names:
            self._add(node, f"{start}.{alias.name}", self._kind)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        """Read ``hambatch.Scorer`` after ``import hambatch``."""
        if isinstance(node.value, ast.Name) and node.value.id == self._root and self._binds_root:
            self._add(node, f"{self._root}.{node.attr}", self._kind)
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        """Pass over docstrings: they may refer to any module."""
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Read dotted names in a string; only those of modules count."""
        for name in self._in_string.findall(node.value) if isinstance(node.value, str) else ():
            if self._module_of(name) != self._root:
                self._add(node, name, Kind.STRING)

    def _inside(self, kind: Kind, nodes: Iterable[ast.AST], whole: bool = False) -> None:
        before, self._kind = self._kind, kind
        for node in nodes:
            if whole:
                self.visit(node)
            else:
                self.generic_visit(node)
        self._kind = before

    def _add(self, node: ast.stmt | ast.expr, name: str, kind: Kind) -> None:
        module = self._module_of(name)
        dunder = name == self._root or name.rpartition(".")[2].startswith("__")
        if module and module != self._name and not (module == self._root and dunder):
            self.found.add(Import(self._name, node.lineno, module, kind))

    def _module_of(self, name: str) -> str:
        """Cut a dotted name to the module that it starts with; empty for another package's."""
        while name and name not in self._modules:
            name = name.rpartition(".")[0]
        return name


def unit_of(module: str) -> str:
    """Give a module's top-level entry: ``hambatch.scoring.run`` -> ``scoring``."""
    return [*module.split("."), "__init__"][1]


def cycles(edges: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Find the groups of names that all reach one another, the largest first.

    Tarjan's strongly connected components of more than one member.
    """
    graph: dict[str, set[str]] = {}
    for start, end in edges:
        if start != end:
            graph.setdefault(start, set()).add(end)
    found = [sorted(group) for group in _components(graph) if len(group) > 1]
    return sorted(found, key=lambda group: (-len(group), group))


def _components(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    order, low = {}, {}
    numbers = count()
    stack: list[str] = []

    def visit(node: str) -> Iterator[list[str]]:
        order[node] = low[node] = next(numbers)
        stack.append(node)
        for after in sorted(graph.get(node, ())):
            if after not in order:
                yield from visit(after)
                low[node] = min(low[node], low[after])
            elif after in stack:
                low[node] = min(low[node], order[after])
        if low[node] == order[node]:
            at = stack.index(node)
            yield stack[at:]
            del stack[at:]

    for start in sorted(graph):
        if start not in order:
            yield from visit(start)
