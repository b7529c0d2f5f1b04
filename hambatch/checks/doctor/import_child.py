"""Importing packages one after the other, in a child process that they may crash."""

import importlib
import sys

from hambatch.system.probe import report


def main() -> None:
    """Report the name of each module that could be imported; the first that cannot ends it."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
        report(name)
