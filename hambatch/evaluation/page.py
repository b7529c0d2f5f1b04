"""An evaluation as one page of HTML that needs nothing beside it."""

from collections.abc import Iterator
from typing import Any

from hambatch.evaluation.page_parts import document, facts, paragraph, picture, section, table
from hambatch.evaluation.page_tables import against, isic, subgroup_tables
from hambatch.evaluation.wording import (
    CLASS_COLUMNS,
    HEADLINES,
    RESEARCH,
    coverage,
    leak_check,
    method,
    number,
    span,
)
from hambatch.labels import NAMES

LIMITS = (
    "Accuracy, precision, F1 and average precision depend on how frequent each class is "
    "here; another clinic's mix gives other numbers.",
    "Intervals are about other samples from the same source, not about other clinics, "
    "cameras or skin types.",
    "Calibration errors of few images are too high by chance, and their intervals too; the "
    "fewer the images, the more.",
    "What is 0 or 1 in the sample, such as the sensitivity of a few melanomas, is so in every "
    "draw: such an interval is too narrow, whatever it says.",
    "Many figures are shown. Of twenty intervals, one misses by chance, on average.",
)


def page(report: dict[str, Any], pictures: dict[str, bytes]) -> str:
    """Write the page.

    Parameters
    ----------
    report
        What :func:`hambatch.evaluation.comparison.compare` returns.
    pictures
        PNG by the names of :func:`hambatch.evaluation.writing.pictures`.
    """
    return document(f"Evaluation of {report['predictions']['file']}", _sections(report, pictures))


def _sections(report: dict[str, Any], pictures: dict[str, bytes]) -> Iterator[str]:
    yield paragraph(RESEARCH, "note")
    yield from _about(report)
    yield section("Figures", _headlines(report), paragraph(method(report["intervals"])))
    yield section("Classes", _classes(report))
    yield section(
        "Confusion",
        picture(
            pictures["confusion.png"],
            "Confusion matrix",
            "Rows are the truth, columns the predictions; percents are of the row.",
        ),
    )
    yield section(
        "ROC curves",
        picture(
            pictures["roc.png"],
            "ROC curves of malignant against benign and of melanoma",
            "Malignant: akiec, bcc and mel, by the sum of their probabilities.",
        ),
    )
    yield section(
        "Calibration",
        picture(
            pictures["reliability.png"],
            "Reliability diagram",
            "15 bins of equal width; bars are intervals. Below the diagonal: too confident.",
        ),
    )
    if report["against"]:
        yield section("Paired comparison", *against(report))
    if report["subgroups"]:
        yield section("Subgroups", *subgroup_tables(report["subgroups"]))
    yield section("ISIC 2018 challenge, Task 3", *isic(report))
    yield section("Limits", *(paragraph(text, "limit") for text in LIMITS))


def _about(report: dict[str, Any]) -> Iterator[str]:
    """Say what was compared, and how much of it."""
    truth, check = report["truth"], report["leak_check"]
    split = f", split {truth['split']}" if truth["split"] is not None else ""
    yield facts(
        [
            ("predictions", f"{report['predictions']['file']} ({_short(report['predictions'])})"),
            ("truth", f"{truth['file']} ({_short(truth)}){split}"),
            (
                "images",
                f"{report['n']} of {report['intervals']['groups']} "
                f"{report['intervals']['grouped_by']}s",
            ),
            ("made by", f"hambatch {report['hambatch']}"),
        ]
    )
    lines = coverage(report["counts"])
    partial = report["counts"]["scored"] < report["counts"]["truth"]
    for line in lines:
        yield paragraph(line, "note warning" if partial else "quiet")
    sound = check["done"] and not check["validation_images"]
    yield paragraph(leak_check(check), "quiet" if sound else "note warning")


def _headlines(report: dict[str, Any]) -> str:
    intervals = report["intervals"]
    rows = [(name, number(report[key]), span(intervals[key])) for key, name in HEADLINES.items()]
    return table(("figure", "value", f"{intervals['level']:.0%} interval"), rows)


def _classes(report: dict[str, Any]) -> str:
    rows = []
    for name, figures in report["classes"].items():
        spans = report["intervals"]["classes"][name]
        cells = [f"{number(figures[key])}\n{span(spans[key])}" for key in CLASS_COLUMNS]
        rows.append((f"{name}\n{NAMES[name]}", str(figures["support"]), *cells))
    return table(("class", "images", *CLASS_COLUMNS.values()), rows)


def _short(named: dict[str, Any]) -> str:
    return f"sha256 {named['sha256'][:12]}"
