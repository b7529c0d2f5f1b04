"""Ratios, taken within each repeat: what the machine did to one, it did to the other."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from scipy.stats import t as student_t

from contenders import BEFORE, OURS, PEERS
from hambatch.engines.backend_names import FP32, graph_precision

Rates = dict[str, list[float]]
"""Images/s of every repeat, by contender."""

TOOLS = ("inference", "own_inference")
"""Whose inference counts for the fastest ceiling: OpenVINO's `benchmark_app` and hambatch's."""


def has_ceiling(rates: Rates, precision: str) -> bool:
    """Whether both parts of it were measured."""
    return {"decode", f"inference_{precision}"} <= rates.keys()


def ceilings(rates: Rates, precision: str) -> list[float]:
    """What plain decoding and `benchmark_app` in that precision can do on shared cores."""
    return _shared(rates["decode"], rates[f"inference_{precision}"])


def fastest_inference(rates: Rates, allowed: Iterable[str]) -> list[str]:
    """Name, for every repeat, the tool and the allowed precision that inferred fastest."""
    names = [f"{tool}_{p}" for p in allowed for tool in TOOLS if f"{tool}_{p}" in rates]
    repeats = range(len(rates[names[0]])) if names else ()
    return [max(names, key=lambda name: rates[name][k]) for k in repeats]


def fastest_ceilings(rates: Rates, allowed: Iterable[str]) -> list[float]:
    """What plain decoding and the fastest inference can do; none if either was not measured."""
    best = fastest_inference(rates, allowed)
    if not best or "decode" not in rates:
        return []
    return _shared(rates["decode"], [rates[name][k] for k, name in enumerate(best)])


def _shared(decode: Sequence[float], inference: Sequence[float]) -> list[float]:
    """What both can do on cores that they share: 1/(1/decode + 1/inference)."""
    return [1 / (1 / d + 1 / i) for d, i in zip(decode, inference, strict=True)]


def ratios(rates: Rates, precision: str, allowed: Sequence[str]) -> dict[str, Any]:
    """Of hambatch in one precision to FP32, to its ceilings and to all others that took part."""
    rivals: Rates = {}
    if has_ceiling(rates, precision):
        rivals["ceiling"] = ceilings(rates, precision)
    if fastest := fastest_ceilings(rates, allowed):
        rivals["fastest_ceiling"] = fastest
    graph = f"onnxruntime_{graph_precision(precision)}"
    rivals |= {name: rates[name] for name in (*PEERS, graph) if name in rates}
    found = {}
    for kind in OURS:
        name, exact = f"{kind}_{precision}", f"{kind}_{FP32}"
        if name in rates:
            own = {"fp32": rates[exact]} if exact in rates and exact != name else {}
            found[name] = _each(rates[name], own | rivals) | of_before(rates, name)
    return found


def of_before(rates: Rates, name: str) -> dict[str, Any]:
    """Of whole processes to those of the other version, if it took part."""
    if BEFORE not in rates or name not in rates or name.startswith("score"):
        return {}
    return _each(rates[name], {BEFORE: rates[BEFORE]})


def _each(ours: Sequence[float], rivals: Rates) -> dict[str, Any]:
    return {
        f"of_{rival}": spread([o / r for o, r in zip(ours, theirs, strict=True)])
        for rival, theirs in rivals.items()
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, least and most, the mean's 95 % interval if there are several, and each."""
    return {
        "median": round(statistics.median(values), 4),
        "min_max": [round(min(values), 4), round(max(values), 4)],
        **({"mean_95": interval(values)} if len(values) > 1 else {}),
        "repeats": [round(value, 4) for value in values],
    }


def interval(values: Sequence[float]) -> dict[str, float]:
    """Give the mean with its 95 % interval by Student's t."""
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    half = float(student_t.ppf(0.975, len(values) - 1)) * deviation / len(values) ** 0.5
    return {"mean": round(mean, 4), "low": round(mean - half, 4), "high": round(mean + half, 4)}
