"""Ratios, taken within each repeat: what the machine did to one, it did to the other."""

import statistics
from collections.abc import Sequence
from typing import Any

from contenders import OURS, PEERS

Rates = dict[str, list[float]]
"""Images/s of every repeat, by contender."""


def ceilings(rates: Rates, precision: str) -> list[float]:
    """What decoding and inference can do on cores that they share: 1/(1/decode + 1/inference)."""
    both = zip(rates["decode"], rates[f"inference_{precision}"], strict=True)
    return [1 / (1 / decode + 1 / inference) for decode, inference in both]


def ratios(rates: Rates, precision: str) -> dict[str, Any]:
    """Of hambatch in one precision to its ceiling and to each peer that took part."""
    rivals = {name: rates[name] for name in PEERS if name in rates}
    own = f"onnxruntime_{precision}"
    if own in rates:
        rivals[own] = rates[own]
    if {"decode", f"inference_{precision}"} <= rates.keys():
        rivals = {"ceiling": ceilings(rates, precision), **rivals}
    return {
        f"{name}_{precision}": {
            f"of_{rival}": spread([o / r for o, r in zip(ours, theirs, strict=True)])
            for rival, theirs in rivals.items()
        }
        for name in OURS
        if (ours := rates.get(f"{name}_{precision}"))
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, least and most, and each."""
    return {
        "median": round(statistics.median(values), 4),
        "min_max": [round(min(values), 4), round(max(values), 4)],
        "repeats": [round(value, 4) for value in values],
    }
