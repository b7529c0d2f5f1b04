"""List what TensorRT has, from its own bindings, and write stubs of what can be reached.

``python -m tools.tensorrt_stubs [VERSION]`` downloads the wheel of the bindings, which hold no
TensorRT: they import if libraries of the right names and symbols can be loaded, so three empty
ones are compiled (a C compiler is needed, a GPU is not). It writes ``tools/tensorrt_api.json``
and ``typings/tensorrt/__init__.pyi``.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tools.listing import write_listing
from tools.names_used import uses_of
from tools.pybind_signatures import overloads_of, result_of

VERSION = "11.4.0.106"

HERE = Path(__file__).parent

LIBRARIES = ("libnvinfer.so.11", "libnvinfer_plugin.so.11", "libnvonnxparser.so.11")

SYMBOLS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)

ROOTS = {"Builder", "OnnxParser", "Runtime", "Logger", "IProgressMonitor", "ITimingCache", "Dims"}
"""Classes that are written in any case, and what they reach; besides those that are used."""

HEADER = '''"""Written by tools/tensorrt_stubs.py from TensorRT {version}."""
from builtins import bool as _bool
from collections.abc import Iterator, Sequence
from typing import Any, SupportsFloat, SupportsInt, overload

from typing_extensions import Buffer
'''

Description = dict[str, Any]


def describe(version: str) -> Description:
    """Download the bindings and read them in a child."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        wanted = f"tensorrt-cu12-bindings=={version}"
        command = [sys.executable, "-m", "pip", "download", wanted, "--no-deps", "-q", "-d", folder]
        subprocess.run(command, check=True)  # noqa: S603
        (wheel,) = place.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(place)
        source = place / "empty.c"
        source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in SYMBOLS))
        for library in LIBRARIES:
            compile_ = ["cc", "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o"]
            subprocess.run([*compile_, str(place / library), str(source)], check=True)  # noqa: S603
        child = [sys.executable, str(HERE / "tensorrt_describe.py"), folder]
        paths = {**os.environ, "LD_LIBRARY_PATH": folder}
        done = subprocess.run(child, check=True, env=paths, capture_output=True, text=True)  # noqa: S603
    found: Description = json.loads(done.stdout)
    return found


def listing_of(description: Description) -> dict[str, list[str]]:
    """Name every class with its members, and every function and value with none."""
    return {name: about.get("all", []) for name, about in description.items()}


def reached(description: Description, roots: set[str]) -> set[str]:
    """Follow the signatures from some classes to all that they speak of."""
    classes = {name for name, about in description.items() if about["kind"] == "class"}
    left, found = roots & classes, set[str]()
    while left:
        name = left.pop()
        found.add(name)
        text = json.dumps(description[name])
        mentioned = set(re.findall(r"tensorrt_bindings\.tensorrt\.(\w+)", text))
        left |= (mentioned | set(description[name]["bases"])) & classes - found
    return found


def stub_of(description: Description, names: set[str]) -> Iterator[str]:
    """Write the stub, line by line: classes without docstrings, and the module's values."""
    known = names | {"ILogger.Severity"}
    for name, about in sorted(description.items()):
        if name in names:
            yield from _class(name, name, about, known, "")
        elif about["kind"] == "value" and about["type"] in names | {"str"}:
            yield f"{name}: {about['type']}"


def _class(name: str, full: str, about: Description, known: set[str], margin: str) -> Iterator[str]:
    bases = ", ".join(base for base in about["bases"] if base in known)
    yield f"{margin}class {name}({bases}):" if bases else f"{margin}class {name}:"
    inner = margin + "    "
    if about["is_enum"]:
        yield f"{inner}def __int__(self) -> int: ..."
        yield f"{inner}def __index__(self) -> int: ..."
    if name == "IHostMemory":
        yield f"{inner}def __buffer__(self, flags: int, /) -> memoryview: ..."
    if "__getitem__" in about["members"]:
        yield f"{inner}def __iter__(self) -> Iterator[Any]: ..."
    members = sorted(about["members"].items(), key=lambda item: item[1]["kind"] != "class")
    for member, described in members:
        yield from _member(member, full, described, known, inner)
    if not about["members"]:
        yield f"{inner}..."


def _member(
    name: str, owner: str, about: Description, known: set[str], margin: str
) -> Iterator[str]:
    if about["kind"] == "class":
        yield from _class(name, f"{owner}.{name}", about, known, margin)
    elif about["kind"] == "value":
        kind = about["type"] if about["type"] in known else "Any"
        yield f"{margin}{name}: {kind}"
    elif about["kind"] == "property":
        result = result_of(about["doc"], known)
        if about["settable"]:
            yield f"{margin}{name}: {result}"
        else:
            yield f"{margin}@property"
            yield f"{margin}def {name}(self) -> {result}: ..."
    else:
        yield from _function(name, about, known, margin)


def _function(name: str, about: Description, known: set[str], margin: str) -> Iterator[str]:
    static = about["kind"] == "static"
    fallback = "*args: Any, **kwargs: Any"
    found = overloads_of(name, about["doc"], known)
    if not found:
        found = [(fallback if static else f"self, {fallback}", "Any")]
    for arguments, result in found:
        if len(found) > 1:
            yield f"{margin}@overload"
        if static:
            yield f"{margin}@staticmethod"
        yield f"{margin}def {name}({arguments}) -> {result}: ..."


def unambiguous(line: str) -> str:
    """Tell Python's ``bool`` from ``tensorrt.bool``; let ``__init__`` return nothing."""
    line = re.sub(r"(?<!^)\bbool\b", "_bool", line)
    return line.replace("-> Any", "-> None") if " __init__(" in line else line


def main() -> None:
    """Write both files."""
    version = sys.argv[1] if len(sys.argv) > 1 else VERSION
    description = describe(version)
    names = listing_of(description)
    write_listing(HERE / "tensorrt_api.json", version, "tensorrt", names)
    uses = uses_of(HERE.parent / "hambatch")
    used = {use.chain[0] for use in uses if use.module == "tensorrt" and use.chain}
    lines = stub_of(description, reached(description, ROOTS | used))
    stub = HERE.parent / "typings" / "tensorrt" / "__init__.pyi"
    stub.parent.mkdir(parents=True, exist_ok=True)
    stub.write_text(HEADER.format(version=version) + "\n".join(map(unambiguous, lines)) + "\n")


if __name__ == "__main__":
    main()
