"""Imports point one way: no package imports one that stands above it.

The order is drawn in docs/architecture.md. Imports in functions and names of modules in
strings count as well.
"""

import re
import shutil
from pathlib import Path

import pytest

from tools.imports import STATEMENTS, Import, cycles, entries_of, imports_of, unit_of

PACKAGE = Path(__file__).parent.parent / "hambatch"

LAYERS = (
    "system < engines < sources < pipelines < backends < risk < sinks < ham10000 < scoring < "
    "explanation < evaluation < triage < training < cluster < bench < checks < api < cli"
).split(" < ")
"""The packages, lowest first."""

ORDER = ("errors", "types", *LAYERS, "__init__", "__main__")
"""All units that may import; a unit may import those before it and itself."""

MOST_ENTRIES = 22


def upward(package: Path) -> list[Import]:
    """Find the imports of a unit that stands above the importing one, or outside the order.

    What a unit outside the order imports does not count: the unit itself has to go.
    """
    return [found for found in imports_of(package) if _rank(found.imported) > _rank(found.module)]


def _rank(module: str) -> int:
    unit = unit_of(module)
    return ORDER.index(unit) if unit in ORDER else len(ORDER)


def cyclic(package: Path) -> list[Import]:
    """Find the imports that Python executes and that lie on a cycle of modules."""
    executed = [found for found in imports_of(package) if found.kind in STATEMENTS]
    groups = cycles((found.module, found.imported) for found in executed)
    return [
        found
        for group in groups
        for found in executed
        if found.module in group and found.imported in group
    ]


def lines(found: list[Import]) -> str:
    return "\n".join(["", *map(str, found)])


@pytest.fixture(scope="module")
def at_first() -> list[Import]:
    return upward(PACKAGE)


def test_no_import_points_upward(at_first: list[Import]) -> None:
    assert not at_first, lines(at_first)


def test_no_import_closes_a_cycle_of_modules() -> None:
    found = cyclic(PACKAGE)
    assert not found, lines(found)


def test_every_entry_of_the_package_has_its_place() -> None:
    entries = {path.name for path in entries_of(PACKAGE)}
    unknown = {name for name in entries if name.removesuffix(".py") not in {*ORDER, "py.typed"}}
    assert not unknown
    assert len(entries) <= MOST_ENTRIES


@pytest.mark.parametrize(
    "code",
    [
        "from hambatch.cli import main",
        "def later():\n    from hambatch.cli import main",
        'NAME = "hambatch.cli.score"',
    ],
)
def test_one_upward_import_in_the_package_is_found(
    tmp_path: Path, at_first: list[Import], code: str
) -> None:
    copy = tmp_path / "hambatch"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    low = copy / LAYERS[0] / "lowest.py"
    low.parent.mkdir(exist_ok=True)
    low.write_text(code)
    added = [found for found in upward(copy) if found not in at_first]
    assert [found.module for found in added] == ["hambatch.system.lowest"], lines(added)


@pytest.mark.parametrize(
    "code",
    [
        "import hambatch.cli",
        "from ..cli import main",
        "from hambatch import cli",
        "from hambatch import Scorer",
        "import hambatch\n\nhambatch.Scorer()",
        "if TYPE_CHECKING:\n    from hambatch.cli import main",
        "async def later():\n    import hambatch.cli",
        'def ask():\n    start(f"hambatch.cli.{name}")',
        'CODE = """\nfrom hambatch.cli import main\n"""',
    ],
)
def test_every_spelling_of_an_upward_import_is_found(tmp_path: Path, code: str) -> None:
    (found,) = upward(_two_layers(tmp_path, code))
    shown = r"hambatch\.system\.lowest:\d imports hambatch(\.cli)? \(.+\)"
    assert re.fullmatch(shown, str(found))


@pytest.mark.parametrize(
    "code",
    [
        '"""See :mod:`hambatch.cli`."""',
        "import hambatch.system",
        "from hambatch import __version__",
        "import hambatch\n\nPLACE = hambatch.__file__",
        'TEXT = "hambatch score, hambatch.toml, org.hambatch.cli"',
    ],
)
def test_what_is_no_upward_import(tmp_path: Path, code: str) -> None:
    assert upward(_two_layers(tmp_path, code)) == []


def _two_layers(tmp_path: Path, code: str) -> Path:
    """Write a package of ``system/lowest.py``, which holds the code, and ``cli``."""
    package = tmp_path / "hambatch"
    for folder in ("", "system", "cli"):
        (package / folder).mkdir()
        (package / folder / "__init__.py").touch()
    (package / "system" / "lowest.py").write_text(code)
    return package


@pytest.mark.parametrize("indent", ["", "def later():\n    "])
def test_a_cycle_of_modules_is_found(tmp_path: Path, indent: str) -> None:
    folder = tmp_path / "hambatch"
    folder.mkdir()
    (folder / "errors.py").write_text("from hambatch.types import Row\n")
    (folder / "types.py").write_text(f"{indent}from hambatch.errors import HambatchError\n")
    assert len(cyclic(folder)) == 2
