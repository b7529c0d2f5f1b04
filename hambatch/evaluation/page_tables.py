"""The longer tables of the page."""

from collections.abc import Iterator
from typing import Any

from hambatch.evaluation.bootstrap import ISIC
from hambatch.evaluation.isic import MEASURES
from hambatch.evaluation.page_parts import heading, paragraph, table
from hambatch.evaluation.report import mcnemar_line
from hambatch.evaluation.subgroups import SMALL
from hambatch.evaluation.wording import (
    CLASS_COLUMNS,
    HEADLINES,
    SUBGROUP_COLUMNS,
    SUBGROUPS,
    leak_check,
    number,
    signed,
    signed_span,
    span,
)


def subgroup_tables(found: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Lay out a table for each column of the truth."""
    yield paragraph(
        "Balanced accuracy is over the classes that occur in the group. Groups of fewer than "
        f"{SMALL} images are marked *: they say next to nothing."
    )
    for column, groups in found.items():
        yield heading(SUBGROUPS[column])
        header = ("group", "images", "lesions", "melanomas", "classes", *SUBGROUP_COLUMNS.values())
        yield table(header, map(_group, groups), [group["small"] for group in groups])


def _group(group: dict[str, Any]) -> tuple[str, ...]:
    spans = group["intervals"]
    return (
        group["group"] + (" *" if group["small"] else ""),
        *(str(group[key]) for key in ("images", "lesions", "melanomas", "classes")),
        *(f"{number(group[key])}\n{span(spans[key])}" for key in SUBGROUP_COLUMNS),
    )


def isic(report: dict[str, Any]) -> Iterator[str]:
    """Lay out the challenge's measures."""
    found, spans = report[ISIC], report["intervals"][ISIC]
    yield paragraph(
        f"By the challenge's own definitions: a class is called where its probability is above "
        f"{found['threshold']}; what would divide by zero counts as 1; auc_sens_80 is the area "
        f"where the sensitivity is 0.8 or more; of {found['undecided']} images with several "
        "greatest probabilities none is right."
    )
    yield paragraph(
        f"balanced multiclass accuracy {number(found['balanced_accuracy'])} "
        f"({span(spans['balanced_accuracy'])})",
        "figure",
    )
    rows = [
        (name, *(f"{number(figures[key])}\n{span(intervals[key])}" for key in MEASURES))
        for name, figures, intervals in (
            *((name, found["classes"][name], spans["classes"][name]) for name in found["classes"]),
            ("mean", found["macro_average"], spans["macro_average"]),
        )
    ]
    yield table(("class", *MEASURES), rows)


def against(report: dict[str, Any]) -> Iterator[str]:
    """Lay out the paired comparison with another table of predictions."""
    other = report["against"]
    first, second = report["predictions"]["file"], other["predictions"]["file"]
    yield paragraph(
        f"First: {first}. Second: {second} (sha256 {other['predictions']['sha256'][:12]}). "
        f"{other['n']} images that both scored; the first alone scored {other['only_first']}, "
        f"the second alone {other['only_second']}. Differences are first minus second; both are "
        f"measured in the same {other['resamples']} draws of {other['groups']} lesions."
    )
    yield paragraph(f"Second: {leak_check(other['leak_check'])}")
    figures = other["figures"]
    rows = [_compared(name, figures[key]) for key, name in HEADLINES.items()]
    rows += [
        _compared(f"{name}: {title}", by_figure[key])
        for name, by_figure in figures["classes"].items()
        for key, title in CLASS_COLUMNS.items()
        if key in ("sensitivity", "roc_auc")
    ]
    level = f"{other['level']:.0%} interval"
    yield table(("figure", "first", "second", "difference", level), rows)
    yield paragraph(
        mcnemar_line(other["mcnemar"])
        + " (images counted one by one: several photographs of a lesion make it too sure)"
    )


def _compared(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    return (
        name,
        number(found["first"]),
        number(found["second"]),
        signed(found["difference"]),
        signed_span(found["interval"]),
    )
