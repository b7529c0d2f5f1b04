"""Print what ``tensorrt_bindings`` has, as JSON: run by tools/tensorrt_stubs.py in a child.

The child's library path holds libraries that only look like TensorRT's, so nothing of it may
be called: names and docstrings are read.
"""

import inspect
import json
import sys
from typing import Any


def described(value: Any) -> dict[str, Any]:
    """Say what kind of thing it is, with its docstring; a class with its members."""
    if inspect.isclass(value):
        return of_class(value)
    if isinstance(value, property):
        getter = value.fget.__doc__ if value.fget else ""
        return {"kind": "property", "doc": getter or "", "settable": bool(value.fset)}
    if isinstance(value, staticmethod):
        return {"kind": "static", "doc": value.__func__.__doc__ or ""}
    if callable(value):
        return {"kind": "function", "doc": value.__doc__ or ""}
    return {"kind": "value", "type": type(value).__qualname__, "module": type(value).__module__}


def of_class(cls: type) -> dict[str, Any]:
    """Describe a class: its own members, and the names of all."""
    own = {
        name: described(value)
        for name, value in vars(cls).items()
        if not name.startswith("_") or name in ("__init__", "__len__", "__getitem__")
    }
    bases = [base.__qualname__ for base in cls.__bases__ if base.__module__ == cls.__module__]
    return {
        "kind": "class",
        "bases": bases,
        "members": own,
        "all": sorted(name for name in dir(cls) if not name.startswith("_")),
        "is_enum": "__members__" in vars(cls),
    }


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    import tensorrt_bindings

    names = {
        name: described(value)
        for name, value in vars(tensorrt_bindings).items()
        if (name == "__version__" or not name.startswith("_")) and not inspect.ismodule(value)
    }
    json.dump(names, sys.stdout)
