"""Another installation of hambatch, beside the one that runs the comparison."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LIBRARIES = ("hambatch", "openvino", "nvidia-dali-cuda120", "numpy", "pillow")

ASK = (
    "import hambatch, json; from importlib.metadata import version; "
    f"found = {{name: version(name) for name in {LIBRARIES}}}; "
    "print(json.dumps([hambatch.__path__[0], found]))"
)


def surroundings(python: str) -> dict[str, Any]:
    """Give what `subprocess.run` needs so that another Python finds its own hambatch.

    It would take the present one's from ``PYTHONPATH`` or the current folder.
    """
    if python == sys.executable:
        return {}
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {"cwd": tempfile.gettempdir(), "env": kept}


def installation(python: str) -> dict[str, Any]:
    """Describe the hambatch of another Python; ends the comparison if it is the present one."""
    folder, versions = _asked(python)
    if Path(folder).resolve() == Path(_asked(sys.executable)[0]).resolve():
        raise SystemExit(
            f"{python} runs this same hambatch\nNext: --before with another installation's Python"
        )
    return {"commit": commit_of(folder), "versions": versions}


def _asked(python: str) -> tuple[str, dict[str, str]]:
    asked = [python, "-c", ASK]
    done = subprocess.run(asked, check=True, capture_output=True, text=True, **surroundings(python))
    folder, versions = json.loads(done.stdout)
    return folder, versions


def commit_of(folder: str) -> str | None:
    """Name the commit of an installation in a checkout; None outside of one."""
    asked = ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(asked, capture_output=True, text=True)
    return done.stdout.strip() or None
