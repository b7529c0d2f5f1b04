"""The rule of a certificate for an image: its score in millionths, and whether it is referred.

A table has six decimals. Whole millionths compare exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from hambatch.engines.backend_names import graph_precision
from hambatch.engines.certificates import MALIGNANT_LESIONS, MELANOMA, Certificate, Target
from hambatch.engines.classes import CLASSES, MALIGNANT
from hambatch.engines.manifest import Manifest
from hambatch.engines.probabilities import DECIMALS, temperature_of

UNIT: int = 10**DECIMALS
"""Millionths in 1."""


def classes_of(target: Target) -> tuple[str, ...]:
    """Name the classes of a target, in the order of the table."""
    return ("mel",) if target == MELANOMA else tuple(x for x in CLASSES if x in MALIGNANT)


def column_of(target: Target) -> str:
    """Name the column of a table that holds a target's score."""
    return "p_mel" if target == MELANOMA else "p_malignant"


def millionths(value: float) -> int:
    """Turn a score of a table, or a threshold, into millionths."""
    return round(value * UNIT)


@dataclass(frozen=True)
class Rule:
    """Images whose score for ``target`` is ``threshold`` or more are referred."""

    target: Target
    threshold: Annotated[float, Meta(gt=0, lt=1)]

    def refers(self, score: float) -> bool:
        """Tell whether a score of a table is at the threshold or above it."""
        return millionths(score) >= millionths(self.threshold)


Rules = Mapping[str, Sequence[Rule]]
"""By backend and precision, such as ``openvino-int8``: the rules of certificates in force."""


def rules_in_force(manifest: Manifest, views: int, temperature: float | None) -> Rules:
    """Find the certificates that hold for rows of so many views and this temperature."""
    found: dict[str, list[Rule]] = {}
    for one in manifest.certificates:
        if (one.scored.views, one.scored.temperature) == (views, temperature) and holds(
            one, manifest
        ):
            rule = Rule(one.promise.target, one.promise.threshold)
            found.setdefault(one.precision, []).append(rule)
    return {name: tuple(sorted(rules, key=_order)) for name, rules in sorted(found.items())}


def holds(one: Certificate, manifest: Manifest) -> bool:
    """Tell whether a certificate is of the graph and the temperature that the engine has now."""
    graph = graph_precision(one.scored.precision)
    files = [manifest.files[v.file].sha256 for v in manifest.variants if v.precision == graph]
    return files == [one.scored.graph_sha256] and one.scored.temperature == temperature_of(manifest)


def _order(rule: Rule) -> int:
    return (MALIGNANT_LESIONS, MELANOMA).index(rule.target)
