"""An evaluation as text for a terminal."""

from collections.abc import Iterator, Sequence
from typing import Any

from hambatch.engines.probabilities import DECIMALS
from hambatch.evaluation.labels import counted
from hambatch.evaluation.leaks import SAME_BYTES, SAME_LESION, SAME_PICTURE
from hambatch.evaluation.origin import EXTERNAL, HELD_OUT, INTERNAL, MIXED
from hambatch.system.text import first_names, plural

HEADLINES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "roc_auc_malignant": "ROC AUC malignant",
    "roc_auc_melanoma": "ROC AUC melanoma",
    "average_precision_malignant": "AP malignant",
    "average_precision_melanoma": "AP melanoma",
    "ece": "ECE",
    "ece_equal_mass": "ECE equal mass",
    "brier": "Brier score",
    "log_loss": "log loss",
}

CLASS_COLUMNS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "precision": "precision",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "average_precision": "AP",
}

SUBGROUP_COLUMNS = {
    "balanced_accuracy": "balanced accuracy",
    "melanoma_sensitivity": "melanoma sensitivity",
    "roc_auc_malignant": "ROC AUC malignant",
}

SUBGROUPS = {
    "age": "age, years",
    "sex": "sex",
    "localization": "localisation",
    "dx_type": "how the diagnosis was made (dx_type)",
}

REPEATS = {
    "other_case": "of these, with a prediction whose id differs only in case, not used",
    "failed_passed_over": "failed rows beside a scored one of the same image_id, not counted",
    "copies": "copies, of the same bytes and scores, counted once",
}

POINT_COLUMNS = {
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "referred": "referred",
}

RULES = {"malignant": "p_malignant", "melanoma": "p_mel"}
"""The column of a table that the rule of each target compares with its threshold."""

NO_PROMISE = (
    "thresholds chosen on these images: estimates that flatter themselves, no promise for others"
)

ERRORS = {
    "missed_malignant": "missed: malignant, with a benign label; the lowest p_malignant first",
    "false_alarms": "false alarms: benign, with a malignant label; the highest p_malignant first",
    "wrong_labels": "other wrong labels; the highest confidence first",
}

RESEARCH = "Research use only: not a medical device."


def number(value: float | None, sign: str = "") -> str:
    """Write a figure, or with ``sign`` "+" a difference; a dash where it is not defined."""
    return "-" if value is None else f"{value:{sign}.3f}"


def span(interval: Sequence[float] | None, sign: str = "") -> str:
    """Write an interval, or with ``sign`` "+" that of a difference; nothing if there is none."""
    return "" if interval is None else " to ".join(number(end, sign) for end in interval)


def method(intervals: dict[str, Any]) -> str:
    """Say where the intervals come from."""
    return (
        f"{intervals['level']:.0%} intervals: bootstrap, {intervals['resamples']} "
        f"resamples of {intervals['groups']} {intervals.get('grouped_by', 'image')}s"
    )


def without_interval(spans: dict[str, Any]) -> list[str]:
    """Say which figures have no interval, and why; of a report that says so."""
    missing = spans.get("no_interval", {})
    lines = [f"no interval of {HEADLINES[at]}: {missing[at]}" for at in HEADLINES if at in missing]
    if others := sorted(missing.keys() - HEADLINES.keys()):
        lines.append(f"no interval of {first_names(others)}: see no_interval of --json")
    return lines


HINTS = {
    SAME_LESION: "neither truth nor predictions have a lesion_id",
    SAME_BYTES: "the predictions have no sha256",
    SAME_PICTURE: "give --images SOURCE",
}
"""Why a check was not made, or what makes it possible."""


def threshold(value: float | None) -> str:
    """Write a threshold with the decimals that tables have."""
    return "-" if value is None else f"{value:.{DECIMALS}f}"


def error_line(entry: dict[str, Any]) -> str:
    """Say what an image is, and what it was taken for."""
    confidence = entry["probabilities"][entry["prediction"]]
    return (
        f"truth {entry['truth']}, predicted {entry['prediction']} {number(confidence)}, "
        f"p_malignant {number(entry['p_malignant'])}"
    )


def _operating_points(points: dict[str, Any]) -> list[str]:
    """Lay out what each threshold does, a line for each wanted sensitivity."""
    head = "".join(
        f"{f'{rule} >=':>15}{'specificity':>13}{'referred':>10}" for rule in RULES.values()
    )
    lines = [f"{'refer if':16}{head}"]
    for both in zip(*(points[name] for name in RULES), strict=True):
        cells = (
            f"{threshold(one['threshold']):>15}"
            f"{number(one['specificity']):>13}{number(one['referred']):>10}"
            for one in both
        )
        lines.append(f"sensitivity {both[0]['wanted_sensitivity']:.2f}{''.join(cells)}")
    return [*lines, NO_PROMISE]


def leak_check(found: dict[str, Any]) -> str:
    """Say how many images were trained on, what was compared, and what could not be."""
    if not found["done"]:
        warning = "WARNING: " if found["needed"] else ""
        return f"{warning}leak check not done: {found['why']}"
    count, trained_on = found["evaluated"], found["trained_on"]
    if trained_on:
        text = (
            f"{trained_on} of {count} images were trained on, and are left out; the figures are "
            f"of the other {count - trained_on}, which have"
        )
    else:
        text = f"none of the {count} images was trained on:"
    source = found["split"]["file"] or found["engine"]
    text += (
        f" nothing in common with the {found['training_images']} training images of {source}; "
        f"checked: {', '.join(found['checks'])}{_not_checked(found)}"
    )
    return "; NOTE: ".join([text, *_leak_notes(found)])


def _not_checked(found: dict[str, Any]) -> str:
    hints = HINTS
    if found["pictures_not_compared"]["training"] == found["training_images"]:
        hints = HINTS | {SAME_PICTURE: "no picture of the training is known"}
    parts = [
        f"{what}{'' if some == found['evaluated'] else f' of {some} images'} ({hints[what]})"
        for what, some in found["not_checked"].items()
    ]
    return f"; not checked: {', '.join(parts)}" if parts else ""


def _leak_notes(found: dict[str, Any]) -> Iterator[str]:
    if found["assumed"]:
        yield (
            f"it is assumed that the engine was trained on {' and '.join(found['sides'])} of it, "
            "as neither the run nor its engine says so"
        )
    unseen = found["pictures_not_compared"]
    if SAME_PICTURE in found["checks"] and any(unseen.values()):
        yield (
            f"{unseen['evaluated']} evaluated and {unseen['training']} training images "
            "cannot be read here, so their near-duplicates were not looked for"
        )
    if found["validation_images"]:
        yield (
            f"{found['validation_images']} of the evaluated images are validation images "
            "of the training, which selected the model by them: the figures are optimistic"
        )


EXPECT_LESS = "expect less on another clinic's images"


def origin(found: dict[str, Any], engine: str | None) -> str:
    """Say whether the images are of a source that the engine was trained on."""
    kind, counts, others, why = (found[key] for key in ("kind", "images", "others", "why"))
    sources, names = found["trained_on"], " and ".join(counts)
    images = plural(sum(counts.values()) + others, "image")
    parts = [f"{count} of {name}" for name, count in counts.items()]
    if kind == EXTERNAL:
        of = f"of a source that {engine} was trained on ({', '.join(sources)})"
        return f"external: none of the {images} is {of}"
    if kind == INTERNAL and why:
        return f"internal: {why}, but on others of {names}; {EXPECT_LESS}"
    if kind == INTERNAL:
        which = "the source" if len(sources) == 1 else "a source"
        return f"internal: held-out images of {names}, {which} of the training; {EXPECT_LESS}"
    if kind == HELD_OUT:
        return f"held-out: images of {names}; {engine} was trained on others of it; {EXPECT_LESS}"
    if kind == MIXED:
        parts += [f"{others} of no source of the training"] if others else []
        return f"mixed: {', '.join(parts)}; evaluate each source by itself"
    known = f" ({', '.join(parts)})" if parts else ""
    return f"unknown: whether {others} of {images} are of a source of the training{known}; {why}"


def coverage(counts: dict[str, Any]) -> list[str]:
    """Say how much of the truth the figures are about; a warning if not all of it."""
    scored, wanted = counts["scored"], counts["truth"]
    lines = [f"{scored} of {wanted} images scored"]
    if scored < wanted:
        lines[0] = f"WARNING: only {lines[0]} ({scored / wanted:.1%}); the figures leave out:"
    for key, what in (("failed", "failed"), ("missing", "without a prediction")):
        if counts[key]:
            named = counts[f"{key}_named"]
            more = ["..."] if counts[key] > len(named) else []
            lines.append(f"  {counts[key]} {what}: {', '.join([*named, *more])}")
    for key, what in REPEATS.items():
        if key in counts:
            named = counts[f"{key}_named"]
            more = ["..."] if counts[key] > len(named) else []
            lines.append(f"  {what}: {counts[key]} ({', '.join([*named, *more])})")
    if counts["predictions_without_truth"]:
        unused = counts["predictions_without_truth"]
        lines.append(f"predictions without a truth, not used: {unused}")
    return lines


def left_out(counts: dict[str, Any]) -> list[str]:
    """Say which rows of the truth are not evaluated, as they have none of the seven classes."""
    lines = []
    if others := counts.get("other_classes"):
        number_of = plural(sum(others.values()), "image")
        lines.append(f"{number_of} of other classes left out: {counted(others.items())}")
    if unlabelled := counts.get("unlabelled"):
        lines.append(f"{plural(unlabelled, 'image')} without a label left out")
    return lines


def mapped(truth: dict[str, Any]) -> list[str]:
    """Say which labels were mapped to which class."""
    labels: dict[str, list[tuple[str, int]]] = {}
    for label, found in truth["map"].items():
        labels.setdefault(found["class"], []).append((label, found["images"]))
    parts = [f"{name} from {counted(labels[name])}" for name in sorted(labels)]
    return [f"labels mapped: {'; '.join(parts)}"] if parts else []


def format_report(report: dict[str, Any]) -> str:
    """Lay out an evaluation as a few lines and two tables.

    It says more of a report of :func:`hambatch.evaluation.evaluate.compare` than of bare figures
    of :func:`hambatch.evaluation.measures.evaluate`.
    """
    intervals = report.get("intervals", {})
    lines = []
    if "leak_check" in report:
        check = report["leak_check"]
        lines = [leak_check(check), origin(report["origin"], check["engine"])]
    if "counts" in report:
        counts, truth = report["counts"], report["truth"]
        lines += [*coverage(counts), *left_out(counts), *mapped(truth)]
    else:
        lines.append(f"{report['n']} images")
    lines.append("")
    for key, name in HEADLINES.items():
        interval = span(intervals.get(key))
        lines.append(f"{name:18}{number(report[key]):>7}   {interval}".rstrip())
    lines += ["", f"{'class':6}{'images':>7}" + "".join(f"{c:>13}" for c in CLASS_COLUMNS.values())]
    for name, figures in report["classes"].items():
        cells = "".join(f"{number(figures[key]):>13}" for key in CLASS_COLUMNS)
        lines.append(f"{name:6}{figures['support']:>7}{cells}")
    if "operating_points" in report:
        lines += ["", *_operating_points(report["operating_points"])]
    if intervals:
        lines += ["", method(intervals), *without_interval(intervals)]
    if report.get("against"):
        lines += ["", *_against(report)]
    return "\n".join(lines)


def _against(report: dict[str, Any]) -> list[str]:
    """Lay out the paired comparison."""
    other = report["against"]
    first, second = report["predictions"]["file"], other["predictions"]["file"]
    lines = [f"{first} (first) against {second} (second), {other['n']} images that both scored"]
    lines.append(f"  second: {leak_check(other['leak_check'])}")
    for key in ("only_first", "only_second"):
        if other[key]:
            lines.append(f"  scored by the {key.removeprefix('only_')} only: {other[key]}")
    lines += ["", f"{'':18}{'first':>7}{'second':>9}{'difference':>12}"]
    for key, name in HEADLINES.items():
        found = other["figures"][key]
        values = f"{number(found['first']):>7}{number(found['second']):>9}"
        change = f"{number(found['difference'], '+'):>12}   {span(found['interval'], '+')}"
        lines.append(f"{name:18}{values}{change}".rstrip())
    return [*lines, *without_interval(other), "", mcnemar_line(other["mcnemar"])]


def mcnemar_line(found: dict[str, Any]) -> str:
    """Say what McNemar's test found."""
    return (
        f"McNemar's exact test of the accuracy: only the first right {found['only_first_right']}, "
        f"only the second right {found['only_second_right']}, p = {found['p_value']:.3g}"
    )
