"""The model card of an engine: its manifest as Markdown.

After Mitchell et al., Model Cards for Model Reporting, FAT* (2019).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hambatch.engines.classes import NAMES, PARTS
from hambatch.engines.manifest import LICENCE_OF_WEIGHTS, Manifest
from hambatch.engines.measurements import Calibration, Improvement, Interval
from hambatch.system.templates import render

HEADING = "## Calibration"

BEFORE = "## Limits"
"""The heading that the calibration comes before."""


def model_card(manifest: Manifest) -> str:
    """Write the card from a manifest that has ``metrics["test"]``."""
    data = manifest.data
    of_a_class = next(iter(data["counts"].values()))

    def count(what: str, parts: Iterable[str]) -> int:
        return sum(by_part[part][what] for by_part in data["counts"].values() for part in parts)

    return render(
        Path(__file__).with_name("card.md.jinja"),
        manifest=manifest,
        data=data,
        names=NAMES,
        parts=[part for part in PARTS if part in of_a_class],
        trained_on=manifest.trained_on,
        held_out=[part for part in of_a_class if part not in ("train", "val")],
        count=count,
        training=manifest.training,
        strides=_strides(manifest),
        licence_file=LICENCE_OF_WEIGHTS if LICENCE_OF_WEIGHTS in manifest.files else "",
        options=[(name, value) for name, value in _flat(manifest.training) if name != "extra"],
        extra=data.get("extra", []),
        dropped=lambda source: sum(found["images"] for found in source["dropped"].values()),
        test=manifest.metrics["test"],
        figure=_figure,
        interval=_interval,
        calibration=section(manifest),
    )


def _strides(manifest: Manifest) -> str:
    own = manifest.training.get("stride_in", "1x1") == "1x1"
    return "" if own else " (V1.5: stride 2 in the 3x3 convolutions)"


def section(manifest: Manifest) -> str:
    """Write the card's section on the calibration; empty without one."""
    calibration = manifest.calibration
    if calibration is None:
        return ""
    measured_at = manifest.metrics.get("test", {}).get("temperature")
    return render(
        Path(__file__).with_name("card_calibration.md.jinja"),
        heading=HEADING,
        temperature=calibration.temperature,
        fitted_on=_fitted_on(calibration),
        changes=_changes(calibration),
        measured_with_it=measured_at == calibration.temperature,
    ).rstrip("\n")


def with_section(card: str, manifest: Manifest) -> str:
    """Put the section into a card, in place of the one that it has."""
    first, *parts = card.split("\n## ")
    others = [first.rstrip("\n"), *(f"## {part}".rstrip("\n") for part in parts)]
    others = [part for part in others if not part.startswith(HEADING)]
    places = [k for k, part in enumerate(others) if part.startswith(BEFORE)] or [len(others)]
    others.insert(places[0], section(manifest))
    return "\n\n".join(filter(None, others)) + "\n"


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


def _flat(values: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value)
        else:
            yield name, value


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(found: Sequence[float] | None) -> str:
    return "-" if found is None else f"{found[0]:.3f} to {found[1]:.3f}"
