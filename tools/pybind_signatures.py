"""Signatures that pybind11 writes at the head of docstrings, as lines of a stub."""

import ast
import keyword
import re

PREFIX = re.compile(r"\btensorrt_bindings\.tensorrt\.")

PLAIN = {
    "typing.SupportsInt": "SupportsInt",
    "typing.SupportsFloat": "SupportsFloat",
    "collections.abc.Sequence": "Sequence",
    "collections.abc.Iterator": "Iterator",
    "typing_extensions.Buffer": "Buffer",
}

BUILTIN = {"bool", "bytes", "dict", "float", "int", "list", "object", "str", "tuple", "None"}


def overloads_of(name: str, doc: str, known: set[str]) -> list[tuple[str, str]]:
    """Give the arguments and the result of every signature of a function.

    Parameters
    ----------
    known
        Classes that the stub has; others become ``Any``.
    """
    pattern = re.compile(rf"^(?:\d+\. )?{re.escape(name)}\((.*)\) -> (.+)$", re.MULTILINE)
    found = [(a, r) for a, r in pattern.findall(doc) if a != "*args, **kwargs"]
    # What may fail gives None, which signatures do not say.
    may_fail = re.search(r":returns:.*\bNone\b", doc, re.DOTALL)
    lines = []
    for arguments, result in found:
        kind = type_of(result, known)
        if may_fail and kind not in ("None", "Any"):
            kind += " | None"
        line = (_arguments(arguments, known), kind)
        if line not in lines:
            lines.append(line)
    return lines


def result_of(doc: str, known: set[str]) -> str:
    """Give the result of a property's getter."""
    found = re.search(r"\) -> (.+)$", doc, re.MULTILINE)
    return type_of(found[1], known) if found else "Any"


def type_of(text: str, known: set[str]) -> str:
    """Translate a type; one of which a part is not known is ``Any``."""
    for long, short in PLAIN.items():
        text = text.replace(long, short)
    text = PREFIX.sub("", text.strip())
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return "Any"
    inner = {node.value for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and node not in inner:
            if ast.unparse(node) not in BUILTIN | set(PLAIN.values()) | known:
                return "Any"
    bare = {"tuple": "tuple[Any, ...]", "list": "list[Any]", "dict": "dict[Any, Any]"}
    return bare.get(text, text)


def _arguments(text: str, known: set[str]) -> str:
    """Translate arguments; after the first default all have one, as Python wants it."""
    lines, optional = [], False
    for argument in _split(text):
        name, _, rest = argument.partition(":")
        kind, equals, default = rest.partition(" = ")
        name = name.strip()
        if name == "self":
            lines.append("self")
            continue
        if name.startswith("*") or not rest:
            lines.append(f"{name}: Any")
            continue
        if keyword.iskeyword(name):
            name += "_"
        kind = type_of(kind, known)
        if default == "None" and kind not in ("Any", "object"):
            kind += " | None"
        optional = optional or bool(equals)
        lines.append(f"{name}: {kind}" + (" = ..." if optional else ""))
    return ", ".join(lines)


def _split(text: str) -> list[str]:
    """Cut at commas that are in no brackets."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(text):
        depth += sign in "([{<"
        depth -= sign in ")]}>" and text[place - 1] != "-"
        if sign == "," and not depth:
            parts.append(text[start:place].strip())
            start = place + 1
    rest = text[start:].strip()
    return [*parts, rest] if rest else parts
