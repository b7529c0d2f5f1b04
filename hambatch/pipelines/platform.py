"""Which decoder this machine has."""

import importlib.util


def has_dali() -> bool:
    """Tell whether DALI is installed; it has wheels for Linux only."""
    try:
        return importlib.util.find_spec("nvidia.dali") is not None
    except ModuleNotFoundError:
        return False
