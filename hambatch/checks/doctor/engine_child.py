"""Loading an engine as `score` would, in a child process that its runtime may crash."""

import sys
from typing import Any

from hambatch.backends import load_backend
from hambatch.engines.loading import find_engine, load_engine
from hambatch.engines.precision import choose_precision
from hambatch.errors import HambatchError
from hambatch.system.probe import report


def main() -> None:
    """Report its name, version and precision, or why it cannot be used."""
    name, backend, precision = sys.argv[1:]
    try:
        report(loaded(name, backend, precision))
    except HambatchError as error:
        why, _, what_next = str(error).partition("\nNext: ")
        report({"why": why, "next": what_next})


def loaded(name: str, backend: str, precision: str) -> dict[str, Any]:
    """Verify its files, choose a graph, and compile it."""
    engine = load_engine(find_engine(name))
    choice = choose_precision(engine.manifest, backend, precision)
    load_backend(backend, engine, choice.used, streams=1).close()
    return {
        "name": engine.manifest.name,
        "version": engine.manifest.version,
        "runs": f"{backend}-{choice.used}",
        "chosen": choice.why,
    }
