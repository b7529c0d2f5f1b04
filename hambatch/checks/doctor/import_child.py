"""Importing packages one after the other, for a process that they may take with them."""

import importlib
import sys

from hambatch.system.probe import answer


def main() -> None:
    """Answer with the name of each module that could be imported; the first that cannot ends it."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
        answer(name)
