"""A comparison as text, and as JSON."""

from math import floor, log10
from statistics import median
from typing import Any

from hambatch.bench.compare import Comparison, Outcome
from hambatch.bench.compare_file import Result
from hambatch.bench.compare_pairs import Pair
from hambatch.system.text import encode_name

UNITS = {"throughput": "images/s", "latency": "ms"}


def format_comparison(comparison: Comparison) -> str:
    """Write the verdict of each pair, the remarks, and one last line for all pairs."""
    lines = [_side("A", comparison.a), _side("B", comparison.b), ""]
    for outcome in comparison.outcomes:
        pair = outcome.pair
        lines += [f"{pair.name} ({pair.a.kind})", f"  {_medians(pair)}", f"  {_verdict(outcome)}"]
    if comparison.remarks:
        lines += ["", *(f"Note: {remark}." for remark in comparison.remarks)]
    return "\n".join([*lines, "", _overall(comparison)])


def _side(letter: str, result: Result) -> str:
    name = encode_name(str(result.path))
    return f"{letter}: {name} (bench {result.what}, {result.measured_utc})"


def _medians(pair: Pair) -> str:
    a, b, unit = pair.a.repeats, pair.b.repeats, UNITS[pair.a.kind]
    return (
        f"A {median(a):.4g} {unit}, B {median(b):.4g} {unit} "
        f"(medians of {len(a)} and {len(b)} repeats)"
    )


def _verdict(outcome: Outcome) -> str:
    speed = outcome.speed
    # Three digits; close to 1 one more, for what matters there is the distance from 1.
    digits = 3 if 0.8 < speed.ratio < 1.25 else max(0, 2 - floor(log10(speed.ratio)))
    low, ratio, high = (f"{value:.{digits}f}" for value in (speed.low, speed.ratio, speed.high))
    p = f"= {outcome.p:.2g}" if outcome.p >= 1e-4 else "< 0.0001"
    return f"{outcome.word}: {ratio} times as fast (95 % interval {low} to {high}, p {p})"


def _overall(comparison: Comparison) -> str:
    if len(comparison.outcomes) == 1:
        return f"Verdict: {_verdict(comparison.outcomes[0])}"
    words = [outcome.word for outcome in comparison.outcomes]
    counts = ", ".join(f"{words.count(word)} {word}" for word in ("faster", "slower", "noise"))
    return f"Verdict: {comparison.word} (of {len(words)} series: {counts})"


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Build the object that `--json` prints."""
    return {
        "format": 1,
        "kind": "hambatch bench compare",
        "what": comparison.a.what,
        "a": _source(comparison.a),
        "b": _source(comparison.b),
        "change_percent": comparison.change,
        "verdict": comparison.word,
        "series": [_entry(outcome) for outcome in comparison.outcomes],
        "notes": list(comparison.remarks),
    }


def _source(result: Result) -> dict[str, str]:
    return {"path": encode_name(str(result.path)), "measured_utc": result.measured_utc}


def _entry(outcome: Outcome) -> dict[str, Any]:
    pair, speed = outcome.pair, outcome.speed
    return {
        "kind": pair.a.kind,
        "stage": pair.a.stage,
        "name": {"a": pair.a.name, "b": pair.b.name},
        "settings": {name: {"a": a, "b": b} for name, (a, b) in pair.settings.items()},
        "verdict": outcome.word,
        "speed_ratio": speed.ratio,
        "interval_95": [speed.low, speed.high],
        "p": outcome.p,
        "scatter": speed.scatter,
        "unit": UNITS[pair.a.kind],
        "median": {"a": median(pair.a.repeats), "b": median(pair.b.repeats)},
        "repeats": {"a": len(pair.a.repeats), "b": len(pair.b.repeats)},
        "repeats_needed": outcome.needed,
    }
