"""A report as files: JSON, plots, and one page of HTML that needs nothing beside it."""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hambatch.engines.classes import NAMES
from hambatch.errors import InputError
from hambatch.evaluation import report as text
from hambatch.evaluation.gallery import Picture
from hambatch.evaluation.measures import MEASURES
from hambatch.evaluation.plots import confusion_png, reliability_png, roc_png
from hambatch.evaluation.subgroups import SMALL
from hambatch.evaluation.threshold_plots import decision_png, precision_recall_png, thresholds_png
from hambatch.system.files import write_bytes, write_json, write_text
from hambatch.system.templates import render


def write_report(
    report: dict[str, Any],
    out: Path | None = None,
    html: Path | None = None,
    pictures: Mapping[str, Picture] | None = None,
) -> list[Path]:
    """Write ``evaluation.json`` and the plots into a folder, and a page to a file.

    Parameters
    ----------
    report
        What :func:`hambatch.evaluation.evaluate.compare` returns.
    out
        The folder, made if need be.
    html
        The page, which holds the plots.
    pictures
        Those of the report's gallery by image_id, for the page.

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
    plots = draw_plots(report)
    written = []
    if out is not None:
        _make(out)
        for name, image in plots.items():
            write_bytes(out / name, image)
        write_json(out / "evaluation.json", report)
        written += [*(out / name for name in plots), out / "evaluation.json"]
    if html is not None:
        write_text(html, page(report, plots, pictures))
        written.append(html)
    return written


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder}: {error.strerror}.\n"
            "Next: give --out a folder that you may write to"
        ) from error


def draw_plots(report: dict[str, Any]) -> dict[str, bytes]:
    """Draw every plot of a report: PNG by the name of its file."""
    title = f"{report['n']} images, balanced accuracy {report['balanced_accuracy']:.3f}"
    return {
        "confusion.png": confusion_png(report["confusion_matrix"], title),
        "roc.png": roc_png(report),
        "precision_recall.png": precision_recall_png(report),
        "thresholds.png": thresholds_png(report),
        "decision.png": decision_png(report),
        "reliability.png": reliability_png(report),
    }


def page(
    report: dict[str, Any],
    plots: dict[str, bytes],
    pictures: Mapping[str, Picture] | None = None,
) -> str:
    """Fill in the page; it holds plots and pictures, no script, and nothing from elsewhere."""
    return render(
        Path(__file__).with_name("page.html"),
        report=report,
        plots={name: b64encode(image).decode("ascii") for name, image in plots.items()},
        pictures=pictures or {},
        text=text,
        names=NAMES,
        measures=MEASURES,
        small=SMALL,
    )
