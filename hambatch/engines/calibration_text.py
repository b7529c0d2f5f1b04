"""A calibration in words: for the model card, and for a terminal."""

from hambatch.engines.calibration_spec import Calibration, Improvement, Interval
from hambatch.engines.manifest import Manifest

HEADING = "## Calibration"
BEFORE = "## Limits"

NAMES = {"log_loss": "log loss", "ece": "ECE"}


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
    return [(name, getattr(calibration, key)) for key, name in NAMES.items()]


def _change(figure: Improvement) -> str:
    return (
        f"{figure.before:.4f} ({_span(figure.before_interval)}) before, "
        f"{figure.after:.4f} ({_span(figure.after_interval)}) after"
    )


def _span(interval: Interval) -> str:
    low, high = interval
    return f"{low:.4f} to {high:.4f}"
