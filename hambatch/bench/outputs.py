"""Where a result goes; whether it can is known before anything is measured."""

from pathlib import Path
from typing import Any

from hambatch.atomic import refusing, write_json
from hambatch.errors import InputError
from hambatch.require import require


def check_outputs(out: Path | None, plots: Path | None) -> None:
    """Refuse what could not be written after minutes of measuring.

    Raises
    ------
    InputError
        If a folder is missing or a file.
    MissingDependency
        If there are plots to draw, and nothing to draw them with.
    """
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        found = "is a folder" if out.is_dir() else "is in no folder that exists"
        raise InputError(
            f"{out} {found}, wanted a file to write.\n"
            "Next: --out RESULT.json, in an existing folder"
        )
    if plots is not None:
        require("matplotlib", extra="plot", purpose="--plots")
        with refusing(plots):
            plots.mkdir(parents=True, exist_ok=True)


def write_outputs(result: dict[str, Any], out: Path | None, plots: Path | None) -> list[Path]:
    """Write the result and its plots; names what was written."""
    written = []
    if out is not None:
        write_json(out, result)
        written.append(out)
    if plots is not None:
        from hambatch.bench.plots import write_plots

        written += write_plots(result, plots)
    return written
