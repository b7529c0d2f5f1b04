"""Sections of a model card that later measurements change, each from the manifest alone."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hambatch.engines.certificates import CERTIFY, Certificate
from hambatch.engines.classes import CLASSES
from hambatch.engines.manifest import Manifest
from hambatch.engines.measurements import (
    DEGRADED,
    EXTERNAL,
    HELD_OUT,
    INTERNAL,
    KINDS,
    LEFT_OUT,
    Calibration,
    Estimate,
    FigureName,
    FiguresOn,
    Improvement,
    Interval,
)
from hambatch.engines.probabilities import temperature_of
from hambatch.engines.referral import holds
from hambatch.system.templates import render

CALIBRATION, OTHER_IMAGES, CERTIFICATES, LIMITS = (
    "## Calibration",
    "## Other images",
    "## Certificates",
    "## Limits",
)
"""Headings, in the order of the card."""

FIGURES: dict[FigureName, str] = {
    "balanced_accuracy": "balanced accuracy",
    "roc_auc_melanoma": "ROC AUC, melanoma",
    "roc_auc_malignant": "ROC AUC, malignant",
    "ece": "ECE",
}

WORDS = {
    INTERNAL: "internal test",
    HELD_OUT: "held out of a training source",
    LEFT_OUT: "source left out by another training",
    DEGRADED: "degraded copies",
    EXTERNAL: "external",
}

MEANINGS = {
    INTERNAL: "held-out lesions of the split table: the same clinics, cameras and annotators as "
    "the training images.",
    HELD_OUT: "images that were not trained on, of a source of which others were: their camera is "
    "known to the engine.",
    LEFT_OUT: "no image of this source was seen by the training that was measured. It was another "
    "training of the same recipe, so the figures are of the recipe, not of these weights.",
    DEGRADED: "copies of images, made worse as the name says. The number after the semicolon is "
    "the difference from the same images as they were, by the same precision.",
    EXTERNAL: "images of a source that no training image comes from.",
}

BALANCE = {
    "full": "Training was balanced over the classes",
    "sqrt": "Training drew rare classes more often than they occur",
    "none": "Training drew classes as its data have them",
}


def with_sections(card: str, manifest: Manifest, *, limits: bool = False) -> str:
    """Put the sections on calibration, other images and certificates into a card, anew.

    ``limits``: and the limits, where the card has some: they say what was measured.
    """
    first, *parts = card.split("\n## ")
    found = [first.rstrip("\n"), *(f"## {part}".rstrip("\n") for part in parts)]
    changing = (CALIBRATION, OTHER_IMAGES, CERTIFICATES)
    others = [part for part in found if not part.startswith(changing)]
    places = [k for k, part in enumerate(others) if part.startswith(LIMITS)]
    if places and limits:
        others[places[0]] = limits_section(manifest)
    at = places[0] if places else len(others)
    others[at:at] = [
        calibration_section(manifest),
        other_images_section(manifest),
        certificates_section(manifest),
    ]
    return "\n\n".join(filter(None, others)) + "\n"


def calibration_section(manifest: Manifest) -> str:
    """Write what was fitted; empty without a calibration."""
    calibration = manifest.calibration
    if calibration is None:
        return ""
    measured_at = manifest.metrics.get("test", {}).get("temperature")
    return render(
        Path(__file__).with_name("card_calibration.md.jinja"),
        heading=CALIBRATION,
        temperature=calibration.temperature,
        fitted_on=_fitted_on(calibration),
        changes=_changes(calibration),
        measured_with_it=measured_at == calibration.temperature,
    ).rstrip("\n")


def calibration_lines(calibration: Calibration) -> list[str]:
    """Say what was fitted on what, and what it changes."""
    return [
        f"temperature {calibration.temperature:.4f}, fitted on {_fitted_on(calibration)}",
        *(f"{name:10}{change}" for name, change in _changes(calibration).items()),
    ]


def _fitted_on(calibration: Calibration) -> str:
    about = calibration.fitted_on
    how = f"{about.source}, {about.precision}" if about.precision else about.source
    return (
        f"{about.images} images of {about.lesions} lesions "
        f"(split {' and '.join(about.parts)} of table {about.split_sha256[:12]}, {how})"
    )


def _changes(calibration: Calibration) -> dict[str, str]:
    def text(figure: Improvement) -> str:
        return (
            f"{figure.before:.4f} ({_range(figure.before_interval)}) before, "
            f"{figure.after:.4f} ({_range(figure.after_interval)}) after"
        )

    return {"log loss": text(calibration.log_loss), "ECE": text(calibration.ece)}


def _range(interval: Interval) -> str:
    return f"{interval[0]:.4f} to {interval[1]:.4f}"


def other_images_section(manifest: Manifest) -> str:
    """Write the table of figures on other images; empty without any."""
    found = manifest.other_images
    if found is None or not found.figures:
        return ""
    ordered = sorted(found.figures, key=lambda one: (KINDS.index(one.kind), one.name))
    kinds = dict.fromkeys(one.kind for one in ordered)
    return render(
        Path(__file__).with_name("card_other_images.md.jinja"),
        heading=OTHER_IMAGES,
        figures=FIGURES,
        rows=[_row(one, ordered) for one in ordered],
        meanings={WORDS[kind]: MEANINGS[kind] for kind in kinds},
        notes=list(_notes(ordered, manifest)),
    ).rstrip("\n")


def _row(found: FiguresOn, everyone: Sequence[FiguresOn]) -> dict[str, object]:
    clean = _undegraded(found, everyone)
    lesions = "" if found.lesions is None else f" ({found.lesions:,})"
    return {
        "name": _escaped(found.name),
        "kind": WORDS[found.kind],
        "number": f"{found.images:,}{lesions}",
        "classes": "all seven" if set(found.classes) == set(CLASSES) else ", ".join(found.classes),
        "scored": _scored_by(found),
        "cells": {
            name: _cell(found.figures.get(name), clean.figures.get(name) if clean else None)
            for name in FIGURES
        },
    }


def _escaped(name: str) -> str:
    r"""Take from a user's text what Markdown and HTML would make of it: ``<b>`` gives ``\<b\>``."""
    return re.sub(r"[\\`*\[\]<>&~#]", r"\\\g<0>", name)


def _undegraded(found: FiguresOn, everyone: Sequence[FiguresOn]) -> FiguresOn | None:
    """Find the figures on the same images as they were, scored in the same way."""
    if found.kind != DEGRADED:
        return None

    def same(one: FiguresOn) -> tuple[object, ...]:
        return one.truth_sha256, one.part, one.classes, one.scored

    others = [one for one in everyone if one.kind != DEGRADED and same(one) == same(found)]
    return others[0] if others else None


def _scored_by(found: FiguresOn) -> str:
    if found.scored is None:
        return "another training"
    how = f"{found.scored.backend}-{found.scored.precision}"
    how += f", {found.scored.views} views" if found.scored.views > 1 else ""
    return f"another training, {how}" if found.kind == LEFT_OUT else how


def _cell(found: Estimate | None, clean: Estimate | None) -> str:
    if found is None:
        return "-"
    text = f"{found.value:.3f}"
    if found.interval is not None:
        text += f" ({found.interval[0]:.3f} to {found.interval[1]:.3f})"
    return text if clean is None else f"{text}; {found.value - clean.value:+.3f}"


def _notes(found: Sequence[FiguresOn], manifest: Manifest) -> Iterator[str]:
    """Name what has images without a score, no leak check, or another scoring than now."""
    for one in found:
        if one.not_scored:
            images = f"{one.not_scored:,} more images have no score and are"
            if one.not_scored == 1:
                images = "1 more image has no score and is"
            yield f"{_escaped(one.name)}: {images} in no figure."
    for one in found:
        if one.scored is None:
            why = "scored by networks that are no engine, so there was no leak check"
            yield f"{_escaped(one.name)}: {why}."
    own = [(one.name, one.scored) for one in found if one.scored and one.kind != LEFT_OUT]
    temperature, graphs = temperature_of(manifest), {None, *manifest.graphs}
    for what, names in {
        "before the last calibration": [n for n, how in own if how.temperature != temperature],
        "with a graph that was replaced since": [
            n for n, how in own if how.graph_sha256 not in graphs
        ],
    }.items():
        if names:
            yield f"Measured {what}: {', '.join(map(_escaped, names))}."


def certificates_section(manifest: Manifest) -> str:
    """Write the table of certified thresholds; empty without any."""
    found = manifest.certificates
    if not found:
        return ""
    return render(
        Path(__file__).with_name("card_certificates.md.jinja"),
        heading=CERTIFICATES,
        rows=[_certified(one) for one in sorted(found, key=lambda one: one.key)],
        notes=[note for one in found if (note := why_void(one, manifest))],
    ).rstrip("\n")


def _certified(one: Certificate) -> dict[str, str]:
    promise, positive, benign = one.promise, one.found.positive, one.found.benign
    own = one.images.origin == CERTIFY
    return {
        "target": promise.target,
        "scored": one.scored_by,
        "threshold": f"{promise.threshold:.4f}",
        "promise": f"{promise.sensitivity:g} at {promise.confidence:.4g} confidence",
        "positive": f"{positive.missed} of {positive.lesions:,} missed",
        "specificity": _cell(benign.specificity, None),
        "referred": f"{one.found.referred_share:.3f}",
        "images": "split certify of the split table" if own else "external",
        "date": one.date[:10],
    }


def why_void(one: Certificate, manifest: Manifest) -> str:
    """Say why a certificate of an engine holds no more; empty: it holds."""
    name = f"{one.promise.target}, {one.scored_by}"
    if holds(one, manifest):
        return ""
    if one.scored.temperature != temperature_of(manifest):
        return f"{name}: holds no more, the engine was calibrated since."
    return f"{name}: holds no more, its graph was replaced since."


def limits_section(manifest: Manifest) -> str:
    """Write what the engine is not, by what it was trained and measured on."""
    found, side = manifest.other_images, max(manifest.input.height, manifest.input.width)
    extra = manifest.data.get("extra", [])
    small = [source for source in extra if source.get("side")]
    blurred = [source["source"] for source in small if source["side"] < side]
    return render(
        Path(__file__).with_name("card_limits.md.jinja"),
        heading=LIMITS,
        other_images=OTHER_IMAGES.removeprefix("## "),
        anchor=OTHER_IMAGES.removeprefix("## ").lower().replace(" ", "-"),
        kinds={one.kind for one in found.figures} - {INTERNAL, DEGRADED} if found else set(),
        extra=extra,
        names=_listed([source["source"] for source in extra]),
        sides=_listed([f"{one['source']} ({one['side']} pixels a side)" for one in small]),
        blurred=_listed(blurred),
        side=side,
        balance=BALANCE[manifest.training.get("finetune", {}).get("balance", "full")],
    ).rstrip("\n")


def _listed(names: Sequence[str]) -> str:
    *others, last = names or [""]
    return f"{', '.join(others)} and {last}" if others else last
