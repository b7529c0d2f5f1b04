"""List what ``pycuda.driver`` has, from PyCUDA's own source, and write its stub.

``python -m tools.pycuda_stubs [VERSION]`` downloads the source package (PyCUDA is built with
nvcc, so it cannot be imported here) and reads the definitions of its extension module. It
writes ``tools/pycuda_api.json`` and ``typings/pycuda/``.
"""

import ast
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tools.listing import write_listing

VERSION = "2026.1"

HERE = Path(__file__).parent

PIP = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]

WRAPPER, DRIVER = "src/wrapper/wrap_cudadrv.cpp", "pycuda/driver.py"

TOKENS = re.compile(
    r"""py::(?:class_|enum_)<[^"(]*\(\s*"(?P<type>\w+)"
    | DECLARE_EXC\((?P<error>\w+),
    | \.(?:def|add_property|def_readwrite|def_readonly|value)\(\s*"(?P<member>\w+)"
    | \.?DEF_SIMPLE_(?:RO_MEMBER|RW_MEMBER|METHOD|METHOD_WITH_ARGS)\((?P<method>\w+)
    | cls\.attr\("(?P<constant>\w+)"\)
    | py::def\(\s*"(?P<function>\w+)"
    | DEF_SIMPLE_FUNCTION(?:_WITH_ARGS)?\((?P<simple>\w+)
    | py::scope\(\)\.attr\("(?P<attribute>\w+)"\)""",
    re.VERBOSE,
)

RESULTS = {
    "Device.retain_primary_context": "Context",
    "DeviceAllocation.__int__": "int",
    "Event.query": "bool",
    "Event.record": "Event",
    "Event.synchronize": "Event",
    "Stream.handle": "int",
    "mem_alloc": "DeviceAllocation",
    "mem_get_info": "tuple[int, int]",
}
"""What Boost.Python does not say; whatever the package uses and mypy should follow."""

STATIC = {"Context.pop", "Context.synchronize", "Context.get_current", "Device.count"}

Listing = dict[str, list[str]]


def fetch(version: str, folder: Path) -> tuple[str, str]:
    """Download the source package; the texts of the wrapper and of ``driver.py``."""
    subprocess.run(  # noqa: S603
        [*PIP, f"pycuda=={version}", "--no-binary", ":all:", "--no-build-isolation", "-d", folder],
        check=True,
    )
    (archive,) = folder.glob("pycuda-*.tar.gz")
    with tarfile.open(archive) as members:
        top = members.getnames()[0].partition("/")[0]
        texts = [members.extractfile(f"{top}/{name}") for name in (WRAPPER, DRIVER)]
        wrapper, driver = (text.read().decode() if text else "" for text in texts)
    return wrapper, driver


def expanded(wrapper: str) -> str:
    """Put the bodies of its own macros where they are used; those of the module only."""
    text = wrapper[wrapper.index("BOOST_PYTHON_MODULE(_driver)") :]
    macros: dict[str, str] = {}
    for name, body in re.findall(r"#define (WRAP_\w+)((?:.*\\\n)*.*)\n", text):
        # Defined twice, the second is what an old CUDA lacks.
        macros.setdefault(name, body)
    text = re.sub(r"#define \w+(?:\([^)]*\))?(?:.*\\\n)*.*\n", "", text)
    for _ in macros:
        text = re.sub(r"\bWRAP_\w+", lambda found: macros.get(found[0], ""), text)
    return text


def listing_of(wrapper: str, driver: str) -> Listing:
    """Name every class with its members, and every function and value with none."""
    found: dict[str, set[str]] = {}
    current = ""
    for token in TOKENS.finditer(expanded(wrapper)):
        kind, name = str(token.lastgroup), token[str(token.lastgroup)]
        if kind in ("type", "error"):
            current = name
        if kind in ("member", "method", "constant"):
            found[current].add(name)
        else:
            found.setdefault(name, set())
    found["HostAllocation"] = set(found["PagelockedHostAllocation"])
    found["ManagedAllocation"] |= found["DeviceAllocation"]
    for node in ast.parse(driver).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.setdefault(node.name, set())
    return {
        name: sorted(m for m in members if not m.startswith("_"))
        for name, members in sorted(found.items())
        if not name.startswith("_")
    }


def stub_of(listing: Listing, errors: set[str]) -> str:
    """Write a stub that knows every name, and the types that :data:`RESULTS` tells."""
    lines = [
        '"""Written by tools/pycuda_stubs.py."""',
        "import builtins",
        "from typing import Any",
    ]
    for name, members in listing.items():
        if name in errors:
            bases = {"Error": "Exception", "MemoryError": "Error, builtins.MemoryError"}
            lines.append(f"class {name}({bases.get(name, 'Error')}): ...")
        elif members:
            lines.append(f"class {name}:")
            lines.append("    def __init__(self, *args: Any) -> None: ...")
            if f"{name}.__int__" in RESULTS:
                lines.append("    def __int__(self) -> int: ...")
            lines += [f"    {_member(name, member)}" for member in members]
        elif name.isupper():
            lines.append(f"{name}: Any")
        elif name[0].isupper():
            lines.append(f"class {name}: ...")
        else:
            result = RESULTS.get(name, "Any")
            lines.append(f"def {name}(*args: Any, **kwargs: Any) -> {result}: ...")
    return "\n".join(lines) + "\n"


def _member(owner: str, name: str) -> str:
    key = f"{owner}.{name}"
    result = RESULTS.get(key, "Any")
    if name.isupper() or name[0].isdigit():
        return f"{name}: Any" if name.isidentifier() else "..."
    if name == "handle":
        return f"@property\n    def {name}(self) -> {result}: ..."
    if key in STATIC:
        return f"@staticmethod\n    def {name}(*args: Any) -> {result}: ..."
    return f"def {name}(self, *args: Any, **kwargs: Any) -> {result}: ..."


def main() -> None:
    """Write both files."""
    version = sys.argv[1] if len(sys.argv) > 1 else VERSION
    with tempfile.TemporaryDirectory() as folder:
        wrapper, driver = fetch(version, Path(folder))
    listing = listing_of(wrapper, driver)
    errors = {"CompileError", *re.findall(r"DECLARE_EXC\((\w+),", expanded(wrapper))}
    write_listing(HERE / "pycuda_api.json", version, "pycuda.driver", listing)
    stubs = HERE.parent / "typings" / "pycuda"
    stubs.mkdir(parents=True, exist_ok=True)
    (stubs / "__init__.pyi").write_text("")
    (stubs / "driver.pyi").write_text(stub_of(listing, errors))


if __name__ == "__main__":
    main()
