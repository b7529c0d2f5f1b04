"""An evaluation as one page of HTML that needs nothing beside it."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Any

from hambatch.engines.classes import NAMES
from hambatch.evaluation.bootstrap import ISIC
from hambatch.evaluation.measures import MEASURES
from hambatch.evaluation.report import (
    CLASS_COLUMNS,
    HEADLINES,
    RESEARCH,
    SUBGROUP_COLUMNS,
    SUBGROUPS,
    coverage,
    leak_check,
    mcnemar_line,
    method,
    number,
    signed,
    signed_span,
    span,
)
from hambatch.evaluation.subgroups import SMALL

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff;
       max-width: 68rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #d0d7de; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
.note { border-left: 4px solid #08306b; background: #f2f6fb; padding: .5rem .8rem;
        margin: .8rem 0; }
.warning { border-left-color: #d95f02; background: #fdf3ec; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid #e3e7eb;
         vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td small { display: block; color: #57606a; }
td:first-child small { white-space: normal; min-width: 7rem; max-width: 12rem; }
tr.small td { color: #8a5a00; }
figure { margin: 1rem 0; }
img { width: 100%; max-width: 42rem; height: auto; }
figcaption, .quiet { color: #57606a; font-size: .85rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .5rem 0; }
dt { color: #57606a; }
dd { margin: 0; }
@media (max-width: 40rem) {
  dl { display: block; } dd { margin: 0 0 .5rem; }
  table { font-size: .85rem; } th, td { padding: .25rem .3rem; }
}
"""


def document(title: str, body: Iterable[str]) -> str:
    """Give a whole page: no script, nothing from elsewhere."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """Put parts below a heading; nothing where there are none."""
    return f"<h2>{escape(title)}</h2>\n" + "\n".join(parts)


def heading(text: str) -> str:
    """Write a heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def paragraph(text: str, kind: str = "quiet") -> str:
    """Write a paragraph; ``kind`` is ``quiet``, ``note`` or ``note warning``."""
    return f'<p class="{kind}">{escape(text)}</p>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """List names and what they are."""
    return (
        "<dl>"
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
        + "</dl>"
    )


def picture(png: bytes, alt: str, caption: str) -> str:
    """Show a picture that the page itself holds."""
    source = "data:image/png;base64," + b64encode(png).decode("ascii")
    return (
        f'<figure><img src="{source}" alt="{escape(alt)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]], small: Sequence[bool] = ()) -> str:
    """Lay out cells; what follows a line break in a cell is shown small below it.

    Parameters
    ----------
    small
        Which rows are of too few images, for their colour.
    """
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = []
    for k, row in enumerate(rows):
        marked = ' class="small"' if k < len(small) and small[k] else ""
        lines.append(f"<tr{marked}>" + "".join(map(_cell, row)) + "</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>'
        + "\n".join(lines)
        + "</tbody></table></div>"
    )


def _cell(text: str) -> str:
    value, _, below = text.partition("\n")
    return f"<td>{escape(value)}{f'<small>{escape(below)}</small>' if below else ''}</td>"


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
        What :func:`hambatch.evaluation.evaluate.compare` returns.
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
