"""The model card: an engine's manifest, told in Markdown.

After Mitchell et al., Model Cards for Model Reporting, FAT* (2019).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from hambatch.engines.calibration import Calibration, Improvement, Interval
from hambatch.engines.classes import CLASSES, NAMES, SPLITS
from hambatch.engines.manifest import Manifest

HEADING = "## Calibration"


BEFORE = "## Limits"


FIGURE_NAMES = {"log_loss": "log loss", "ece": "ECE"}


def calibration_lines(calibration: Calibration) -> list[str]:
    """Say what was fitted on what, and what it changes."""
    return [
        f"temperature {calibration.temperature:.4f}, fitted on {_fitted_on(calibration)}",
        *(f"{name:10}{_change(figure)}" for name, figure in _figures(calibration)),
    ]


def section(manifest: Manifest) -> str:
    """Write the card's section; empty without a calibration."""
    calibration = manifest.calibration
    if calibration is None:
        return ""
    measured_at = manifest.metrics.get("test", {}).get("temperature")
    figures = (
        "The test figures above are of calibrated probabilities."
        if measured_at == calibration.temperature
        else "The test figures above were measured at another temperature, or without one."
    )
    changes = "\n".join(f"- {name}: {_change(figure)}" for name, figure in _figures(calibration))
    return (
        f"{HEADING}\n\nProbabilities are calibrated with temperature "
        f"{calibration.temperature:.4f} (`--no-calibration` switches it off);\nno label depends "
        f"on it. Fitted on {_fitted_on(calibration)}:\n\n{changes}\n\n"
        f"Intervals are 95 %, by bootstrap over lesions. {figures}"
    )


def with_section(card: str, manifest: Manifest) -> str:
    """Put the section into a card, in place of the one that it has."""
    parts = [f"## {part}" for part in card.split("\n## ")]
    # What comes before the first heading is none.
    parts[0] = parts[0].removeprefix("## ")
    others = [part.rstrip("\n") for part in parts if not part.startswith(HEADING)]
    places = [k for k, part in enumerate(others) if part.startswith(BEFORE)] or [len(others)]
    others.insert(places[0], section(manifest))
    return "\n\n".join(part for part in others if part) + "\n"


def _fitted_on(calibration: Calibration) -> str:
    about = calibration.fitted_on
    how = f"{about.source}, {about.precision}" if about.precision else about.source
    return (
        f"{about.images} images of {about.lesions} lesions "
        f"(split {' and '.join(about.parts)} of table {about.split_sha256[:12]}, {how})"
    )


def _figures(calibration: Calibration) -> list[tuple[str, Improvement]]:
    return [(name, getattr(calibration, key)) for key, name in FIGURE_NAMES.items()]


def _change(figure: Improvement) -> str:
    return (
        f"{figure.before:.4f} ({_range(figure.before_interval)}) before, "
        f"{figure.after:.4f} ({_range(figure.after_interval)}) after"
    )


def _range(interval: Interval) -> str:
    low, high = interval
    return f"{low:.4f} to {high:.4f}"


CITATION = (
    "Tschandl, Rosendahl, Kittler: The HAM10000 dataset, a large collection of multi-source "
    "dermatoscopic images of common pigmented skin lesions. Sci. Data 5:180161 (2018), "
    "doi:10.1038/sdata.2018.161"
)


LIMITS = (
    "It knows seven diagnoses. A picture of anything else gets one of the seven all the same.",
    "HAM10000 comes from two clinics, in Austria and Australia, mostly with light skin; "
    "nothing was measured on other populations, devices or clinical photographs.",
    "Rare classes were measured on few lesions; see their number above before reading a figure.",
)


BALANCES = {
    "full": "Training was balanced over the classes",
    "sqrt": "Training drew rare classes more often than they occur",
    "none": "Training drew classes as HAM10000 has them",
}
"""What each says of the probabilities; the published recipe's is ``full``."""


HEADLINE = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "roc_auc_melanoma": "ROC AUC, melanoma",
    "roc_auc_malignant": "ROC AUC, malignant",
    "ece": "expected calibration error",
}
"""Names of figures in words, in the order of the card."""


def model_card(manifest: Manifest) -> str:
    """Write the card from a manifest that has ``metrics["test"]``."""
    test = manifest.metrics["test"]
    sections = (
        f"# {manifest.name} {manifest.version}\n\n"
        f"{_network(manifest)}, classifying dermatoscopic\n"
        "images into seven diagnoses. **Research use only: not a medical device.**",
        "## Intended use\n\nResearch on batch scoring and triage of dermatoscopic archives. "
        "Not for diagnosis, and\nnot for deciding on anybody's care.",
        f"## Data\n\n{manifest.data['name']} ({manifest.data['source']}), "
        f"{manifest.data['licence']}. Please cite:\n{CITATION}.\n\n"
        f"{_images(manifest):,} of its images were at hand. "
        "Split by lesion: no lesion, and no identical image, is on two sides.\n"
        "Images / lesions:\n\n" + _counts(manifest) + f"\n\n{_seen(manifest)}",
        "## Training\n\n" + _table(("option", "value"), _flat(manifest.training)),
        "## Test results\n\n" + _headline(test) + "\n\n" + _classes(test),
        "## Confusion matrix\n\nTest images; rows are the truth, columns the predictions.\n\n"
        + _confusion(test),
        _validation(manifest),
        section(manifest),
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in _limits(manifest)),
        f"## Licence of the weights\n\n{manifest.licence}",
    )
    return "\n\n".join(part for part in sections if part) + "\n"


def _network(manifest: Manifest) -> str:
    if "finetune" not in manifest.training:
        return "ResNet50, frozen with ImageNet weights, and a small head"
    stage = manifest.training["finetune"]["unfreeze"]
    return f"ResNet50, trained from ImageNet weights from {stage} up, and a small head"


def _limits(manifest: Manifest) -> Iterable[str]:
    balance = manifest.training.get("finetune", {}).get("balance", "full")
    *others, last = LIMITS
    drawn = f"{BALANCES[balance]}, so its probabilities are not those of any clinic's case mix."
    return (*others, drawn, last)


def _counts(manifest: Manifest) -> str:
    counts = manifest.data["counts"]
    rows = (
        (f"{name} ({NAMES[name]})", *(f"{c['images']} / {c['lesions']}" for c in _in(counts[name])))
        for name in manifest.classes
    )
    return _table(("class", *SPLITS), rows)


def _seen(manifest: Manifest) -> str:
    sides = manifest.data.get("trained_on", ["train"])
    counts = manifest.data["counts"].values()
    images, lesions = (
        sum(by_split[side][what] for by_split in counts for side in sides)
        for what in ("images", "lesions")
    )
    chose = "" if "val" in sides else "; the images of val chose when to stop"
    return (
        f"Its weights were fitted to the {images:,} images of {lesions:,} lesions of "
        f"{' and '.join(sides)}{chose}. Those of test were held out."
    )


def _validation(manifest: Manifest) -> str:
    if "val" in manifest.metrics:
        figure = manifest.metrics["val"]["balanced_accuracy"]
        return f"Validation, which stopped the training: balanced accuracy {figure:.3f}."
    steps = manifest.training["steps_run"]
    return f"It was trained for a fixed {steps} steps; nothing was validated meanwhile."


def _images(manifest: Manifest) -> int:
    counts = manifest.data["counts"]
    return sum(c["images"] for name in manifest.classes for c in _in(counts[name]))


def _in(by_split: dict[str, dict[str, int]]) -> Iterable[dict[str, int]]:
    return (by_split[split] for split in SPLITS)


def _headline(found: dict[str, Any]) -> str:
    rows = (
        (words, _figure(found.get(name)), _span(found["intervals"].get(name)))
        for name, words in HEADLINE.items()
    )
    note = f"{found['n']} images; intervals by bootstrap over lesions.\n\n"
    return note + _table(("figure", "value", "95 % interval"), rows)


def _classes(found: dict[str, Any]) -> str:
    columns = ("precision", "sensitivity", "specificity", "f1", "roc_auc")
    rows = (
        (name, str(figures["support"]), *(_figure(figures[column]) for column in columns))
        for name, figures in found["classes"].items()
    )
    return _table(("class", "images", *columns), rows)


def _confusion(found: dict[str, Any]) -> str:
    rows = zip(CLASSES, found["confusion_matrix"], strict=True)
    return _table(("truth", *CLASSES), ((name, *map(str, counts)) for name, counts in rows))


def _flat(values: dict[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name, str(value)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _span(interval: Sequence[float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"
