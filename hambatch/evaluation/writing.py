"""A report as files: JSON, pictures, a page."""

from pathlib import Path
from typing import Any

from hambatch.errors import InputError
from hambatch.evaluation.page import page
from hambatch.evaluation.plots import confusion_png, reliability_png, roc_png
from hambatch.system.files import write_bytes, write_json, write_text


def write_report(
    report: dict[str, Any], out: Path | None = None, html: Path | None = None
) -> list[Path]:
    """Write ``evaluation.json`` and the pictures into a folder, and a page to a file.

    Parameters
    ----------
    report
        What :func:`hambatch.evaluation.evaluate.compare` returns.
    out
        The folder, made if need be.
    html
        The page; it holds the pictures, and needs nothing beside it.

    Returns
    -------
    The files written, replaced if they were there.

    Raises
    ------
    InputError
        If a folder cannot be made or written to.
    MissingDependency
        If matplotlib is not installed; then nothing is written.
    """
    if out is None and html is None:
        return []
    drawn = pictures(report)
    written = []
    if out is not None:
        _make(out)
        for name, picture in drawn.items():
            write_bytes(out / name, picture)
        write_json(out / "evaluation.json", report)
        written += [*(out / name for name in drawn), out / "evaluation.json"]
    if html is not None:
        write_text(html, page(report, drawn))
        written.append(html)
    return written


def pictures(report: dict[str, Any]) -> dict[str, bytes]:
    """Draw every picture of a report: PNG by the name of its file."""
    title = f"{report['n']} images, balanced accuracy {report['balanced_accuracy']:.3f}"
    return {
        "confusion.png": confusion_png(report["confusion_matrix"], title),
        "roc.png": roc_png(report),
        "reliability.png": reliability_png(report),
    }


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder}: {error.strerror}.\n"
            "Next: give --out a folder that you may write to"
        ) from error
