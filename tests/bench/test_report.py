"""The sentences that a result ends with say what its numbers say."""

import pytest

from hambatch.bench.ceiling import Cores, find_ceiling
from hambatch.bench.report import latency_verdict, score_verdict, throughput_verdict

ALL = Cores(2, 2, 2)


@pytest.mark.parametrize(
    ("decode", "inference", "score", "says"),
    [
        (
            888,
            61.4,
            53.4,
            "bound by inference: 93 % of the ceiling; a faster decoder would gain at most 7 %",
        ),
        (
            40,
            400,
            36.36,
            "bound by decode: 100 % of the ceiling; a faster backend would gain at most 10 %",
        ),
    ],
)
def test_the_verdict_says_what_the_numbers_say(
    decode: float, inference: float, score: float, says: str
) -> None:
    assert score_verdict(find_ceiling(ALL, [9e3], [decode], [inference], [score])) == says


def test_on_devices_of_their_own_a_faster_decoder_gains_nothing() -> None:
    apart = Cores(2, 2, 2, shared=False)
    found = score_verdict(find_ceiling(apart, [9e3], [900], [100], [95]))
    assert found.endswith("95 % of the ceiling; a faster decoder would gain at most 0 %")


def entry(name: str, low: float, middle: float, high: float) -> dict[str, object]:
    return {"name": name, "min": low, "median": middle, "max": high}


def test_those_as_fast_within_the_spread_are_named() -> None:
    entries = [entry("a", 9, 10, 11), entry("b", 8, 9.5, 10), entry("c", 4, 5, 6)]
    found = throughput_verdict(entries)
    assert found == "most images/s: a, 10.0; as fast within the spread: b"
    assert throughput_verdict(entries[::2]).endswith("within the spread: none")


def test_a_percentile_that_is_not_valid_is_never_a_number() -> None:
    few = {"name": "a", "percentiles_ms": {"99": None}, "not_valid": {"99": "needs 459, has 5"}}
    assert latency_verdict([few], "99") == "p99 is not valid: it needs 459, has 5"
