"""What benchmarks share: the command line, and a result that names the machine and the versions."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hambatch.bench.machine import machine_facts
from hambatch.system.files import write_json
from hambatch.system.packages import library_versions


def parser_of(description: str) -> argparse.ArgumentParser:
    """Start a command line: the first line of a script's docstring, and ``--out``."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    return parser


def publish(out: Path, result: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
    """Write the result with the machine and the versions, and print what is shown of it."""
    versions = library_versions() | result.get("versions", {})
    write_json(out, {**result, "machine": machine_facts(), "versions": versions})
    print(json.dumps(shown, indent=2))
