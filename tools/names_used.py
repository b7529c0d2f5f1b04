"""Which names of TensorRT and PyCUDA the package's code reaches, read from its syntax.

``python tools/names_used.py`` lists them; a test compares them with the listings beside
this file, so that a name that a library does not have is found without a GPU.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MODULES = ("tensorrt", "pycuda.driver")

CONVENTION = {"trt": "tensorrt"}
"""Names that always stand for a module, though it came in as an argument."""

OBJECTS = {
    "builder": "Builder",
    "config": "IBuilderConfig",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "profile": "IOptimizationProfile",
}
"""What variables of these names hold, in a file that reaches TensorRT: where the module comes
in as an argument, mypy does not know."""


@dataclass(frozen=True)
class Use:
    """``chain`` is what follows the module: ``("BuilderFlag", "TF32")``."""

    module: str
    chain: tuple[str, ...]
    place: str


def uses_in(path: Path) -> Iterator[Use]:
    """Find every chain of attributes that starts at one of the modules."""
    tree = ast.parse(path.read_text())
    names = CONVENTION | dict(_bound(tree))
    objects = False
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in [*ast.walk(tree), *_annotations(tree)]:
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            root, chain = _chain(node)
            for module, rest in _reached(root, chain, names):
                objects = objects or module == "tensorrt"
                yield Use(module, rest, f"{path}:{node.lineno}")
    yield from _imported(tree, path)
    if objects:
        yield from _of_objects(tree, path)


def uses_of(folder: Path) -> list[Use]:
    """Find them in all files of a package."""
    return [use for path in sorted(folder.rglob("*.py")) for use in uses_in(path)]


def unknown(use: Use, listing: dict[str, list[str]]) -> bool:
    """Whether the listing of its module lacks the name, or the class lacks the member.

    What follows a member (``.name`` of an enumeration's value) is not followed.
    """
    if not use.chain:
        return False
    first, *rest = use.chain
    if first not in listing:
        return True
    member = rest[0] if rest else ""
    return bool(member and listing[first]) and not (
        member in listing[first] or member.startswith("__")
    )


def _bound(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Names that an import, or ``require("...")``, binds to a module or to its parent."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                known = any(alias.name in (m, m.partition(".")[0]) for m in MODULES)
                if known and alias.asname:
                    yield alias.asname, alias.name
                elif known:
                    top = alias.name.partition(".")[0]
                    yield top, top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if f"{node.module}.{alias.name}" in MODULES:
                    yield alias.asname or alias.name, f"{node.module}.{alias.name}"
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            argument = next(iter(node.value.args), None)
            if isinstance(argument, ast.Constant) and argument.value in MODULES:
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        yield target.id, str(argument.value)


def _imported(tree: ast.AST, path: Path) -> Iterator[Use]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                yield Use(str(node.module), (alias.name,), f"{path}:{node.lineno}")


def _of_objects(tree: ast.AST, path: Path) -> Iterator[Use]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            kind = OBJECTS.get(node.value.id)
            if kind:
                yield Use("tensorrt", (kind, node.attr), f"{path}:{node.lineno}")


def _annotations(tree: ast.AST) -> Iterator[ast.AST]:
    """Annotations that are written as text, as those of optional packages are."""
    for node in ast.walk(tree):
        for field in ("annotation", "returns"):
            text = getattr(node, field, None)
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                for part in ast.walk(ast.parse(text.value, mode="eval")):
                    part.lineno = text.lineno  # type: ignore[attr-defined]
                    yield part


def _chain(node: ast.Attribute) -> tuple[str, tuple[str, ...]]:
    names = [node.attr]
    below = node.value
    while isinstance(below, ast.Attribute):
        names.append(below.attr)
        below = below.value
    return (below.id if isinstance(below, ast.Name) else ""), tuple(reversed(names))


def _reached(
    root: str, chain: tuple[str, ...], names: dict[str, str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    start = names.get(root)
    if start in MODULES:
        yield start, chain
    elif start and f"{start}.{chain[0]}" in MODULES:
        yield f"{start}.{chain[0]}", chain[1:]


if __name__ == "__main__":
    for found in sorted({(u.module, *u.chain) for u in uses_of(Path("hambatch"))}):
        print(".".join(found))
