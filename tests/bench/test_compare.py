import numpy as np
import pytest

from hambatch.bench.compare import compare
from hambatch.bench.compare_report import as_json, format_comparison
from hambatch.bench.options import BenchCompareOptions
from tests.bench.results import latency, rates, result, throughput, write


def compared(folder, a, b, series=None, change=3.0):
    paths = [write(folder / name, whole) for name, whole in (("a.json", a), ("b.json", b))]
    return compare(*paths, series, BenchCompareOptions(change=change))


def measured(median, seed, precision="fp32", **parts):
    return result(throughput(rates(median, 0.01, 10, seed), precision), **parts)


def test_a_result_compared_with_itself_is_noise(tmp_path):
    whole = result(
        *(throughput(rates(40, 0.01, 10, size), batch_size=size) for size in (1, 8, 32)),
        latency(rates(25, 0.01, 10, 9)),
    )
    found = compared(tmp_path, whole, whole)
    assert found.word == "noise"
    assert [(one.word, one.speed.ratio, one.p) for one in found.outcomes] == [("noise", 1, 1)] * 4
    assert "Verdict: noise (of 4 series: 0 faster, 0 slower, 4 noise)" in format_comparison(found)


def test_int8_against_fp32_says_by_how_much(tmp_path):
    found = compared(tmp_path, measured(40, 1), measured(92, 2, "int8"))
    (outcome,) = found.outcomes
    assert found.word == "faster"
    assert outcome.speed.ratio == pytest.approx(2.3, rel=0.02)
    assert outcome.speed.low < 2.3 < outcome.speed.high
    text = format_comparison(found)
    assert "setting precision differs: fp32 in A, int8 in B" in text
    last = text.splitlines()[-1]
    assert last.startswith(f"Verdict: faster: {outcome.speed.ratio:.2f} times as fast (95 % inter")
    assert last.endswith("p < 0.0001)")


@pytest.mark.parametrize(
    ("before", "after", "word"), [(20, 10, "faster"), (10, 20, "slower"), (10, 10, "noise")]
)
def test_a_lower_latency_is_faster(tmp_path, before, after, word):
    a, b = result(latency(rates(before, 0.01, 10, 1))), result(latency(rates(after, 0.01, 10, 2)))
    found = compared(tmp_path, a, b)
    assert found.word == word
    assert found.outcomes[0].speed.ratio == pytest.approx(before / after, rel=0.02)


def test_one_slower_series_makes_the_whole_slower(tmp_path):
    a = result(throughput(rates(40, 0.01, 10, 1)), latency(rates(20, 0.01, 10, 2)))
    b = result(throughput(rates(80, 0.01, 10, 3)), latency(rates(30, 0.01, 10, 4)))
    found = compared(tmp_path, a, b)
    assert [one.word for one in found.outcomes] == ["faster", "slower"]
    assert found.word == "slower"


def test_many_comparisons_at_once_raise_no_more_false_alarms_than_one(tmp_path):
    alarms = 0
    for seed in range(40):
        a, b = (
            result(
                *(
                    throughput(rates(40, 0.005, 8, (seed * 2 + side) * 20 + size), batch_size=size)
                    for size in range(1, 11)
                )
            )
            for side in (0, 1)
        )
        alarms += compared(tmp_path, a, b).word != "noise"
    # Uncorrected it would be 40 * (1 - 0.95 ** 10) = 16.
    assert alarms <= 7


def test_another_machine_and_other_versions_are_named(tmp_path):
    a = measured(40, 1)
    b = measured(40, 2, machine=a["machine"] | {"cpu": "Intel", "cores": 8, "memory_gib": 23.9})
    b["versions"] = {"openvino": "2027.1", "numpy": "2.4.1"}
    notes = compared(tmp_path, a, b).remarks
    assert notes == (
        "machine.cpu differs: AMD EPYC in A, Intel in B",
        "machine.cores differs: 2 in A, 8 in B",
        "versions.openvino differs: 2026.4.0 in A, 2027.1 in B",
    )


def test_series_that_are_left_out_are_named(tmp_path):
    a = measured(40, 1)
    b = result(*a["throughput"], latency([20.0] * 5))
    assert compared(tmp_path, a, b).remarks == (
        "only in B, not compared: latency of latency openvino-fp32, batch 1",
    )


def test_a_machine_that_slows_down_meanwhile_is_reported(tmp_path):
    drifting = (40 * np.linspace(1.02, 0.98, 12)).tolist()
    found = compared(tmp_path, measured(40, 1), result(throughput(drifting)))
    assert any("the machine was not at rest" in note for note in found.remarks)
    steady = [compared(tmp_path, measured(40, s), measured(40, s + 99)) for s in range(1, 31)]
    assert sum(bool(one.remarks) for one in steady) <= 2


def test_json_holds_all_that_the_text_says(tmp_path):
    found = as_json(compared(tmp_path, measured(40, 1), measured(30, 2, "int8"), change=5))
    assert (found["verdict"], found["what"], found["change_percent"]) == ("slower", "engine", 5)
    (one,) = found["series"]
    assert one["settings"] == {"precision": {"a": "fp32", "b": "int8"}}
    assert one["interval_95"][0] < one["speed_ratio"] < one["interval_95"][1] < 1
    assert one["repeats"] == {"a": 10, "b": 10}
    assert one["repeats_needed"] == 5
    assert one["unit"] == "images/s"


@pytest.mark.parametrize(
    ("ratio", "text"), [(0.0123, "0.0123 times"), (12.3, "12.3 times"), (1.005, "1.005 times")]
)
def test_ratios_have_three_digits_and_near_one_to_a_thousandth(tmp_path, ratio, text):
    a, b = result(throughput([40.0] * 5)), result(throughput([40.0 * ratio] * 5))
    assert text in format_comparison(compared(tmp_path, a, b))
