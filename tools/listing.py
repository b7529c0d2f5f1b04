"""A library's names in a file: one line a class, so that a new version shows as a short diff."""

import json
from pathlib import Path


def write_listing(path: Path, version: str, module: str, names: dict[str, list[str]]) -> None:
    """Write ``{"version": ..., "modules": {module: {class: [member, ...]}}}``."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(names[name])}" for name in sorted(names))
    head = f'{{"version": {json.dumps(version)}, "modules": {{{json.dumps(module)}: {{\n'
    path.write_text(f"{head}{lines}\n}}}}}}\n")
