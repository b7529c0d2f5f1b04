"""The model card of an engine: its manifest as Markdown.

After Mitchell et al., Model Cards for Model Reporting, FAT* (2019).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hambatch.engines.card_sections import (
    calibration_section,
    certificates_section,
    limits_section,
    other_images_section,
)
from hambatch.engines.classes import NAMES, PARTS
from hambatch.engines.manifest import LICENCE_OF_WEIGHTS, Manifest
from hambatch.system.templates import render


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
        calibration=calibration_section(manifest),
        other_images=other_images_section(manifest),
        certificates=certificates_section(manifest),
        limits=limits_section(manifest),
    )


def _strides(manifest: Manifest) -> str:
    own = manifest.training.get("stride_in", "1x1") == "1x1"
    return "" if own else " (V1.5: stride 2 in the 3x3 convolutions)"


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
