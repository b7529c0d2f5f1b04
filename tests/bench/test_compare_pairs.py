from pathlib import Path

import pytest

from hambatch.bench.compare_file import Result, Series
from hambatch.bench.compare_pairs import join
from hambatch.errors import InputError


def series(precision, batch_size=8, stage="inference", kind="throughput", **others):
    name = f"{stage} openvino-{precision}, batch {batch_size}{''.join(map(str, others.values()))}"
    settings = {"precision": precision, "batch_size": batch_size, **others}
    return Series(kind, name, stage, settings, (40.0, 41.0))


def result(*all_series, what="engine"):
    return Result(Path("r.json"), what, "2026", {}, all_series)


def joined(a, b, given=None):
    return [(pair.a.name, pair.b.name) for pair in join(result(*a), result(*b), given)]


def test_series_of_the_same_name_are_compared_wherever_they_stand():
    one, other = series("fp32", 1), series("fp32", 32)
    assert joined([one, other], [other, one]) == [(one.name,) * 2, (other.name,) * 2]


def test_a_throughput_is_never_compared_with_a_latency():
    with pytest.raises(InputError, match="no series can be compared"):
        joined([series("fp32")], [series("fp32", kind="latency")])


def test_int8_is_compared_with_fp32_at_each_batch_size():
    pairs = join(
        result(*(series("fp32", size) for size in (1, 8, 32))),
        result(*(series("int8", size) for size in (32, 8, 64))),
    )
    assert [(pair.a.settings["batch_size"], pair.b.settings["batch_size"]) for pair in pairs] == [
        (8, 8),
        (32, 32),
    ]
    assert all(pair.settings == {"precision": ("fp32", "int8")} for pair in pairs)


def test_two_single_series_are_compared_whatever_differs():
    (pair,) = join(result(series("fp32", 1)), result(series("int8", 32)))
    assert pair.settings == {"precision": ("fp32", "int8"), "batch_size": (1, 32)}
    assert pair.name == "inference openvino-fp32, batch 1 -> inference openvino-int8, batch 32"


def test_batch_sizes_are_not_compared_with_each_other_where_others_agree():
    a, b = [series("fp32", 1), series("fp32", 8)], [series("fp32", 1), series("fp32", 32)]
    assert joined(a, b) == [(a[0].name, b[0].name)]


def test_stages_are_joined_one_by_one():
    read = series("none", stage="read")
    a, b = [read, series("fp32")], [read, series("int8")]
    assert joined(a, b) == [(read.name, read.name), (a[1].name, b[1].name)]


def test_what_could_be_either_is_not_guessed():
    twins = [
        Series("throughput", name, "inference", {"precision": "fp32"}, (1.0, 1.0)) for name in "xy"
    ]
    with pytest.raises(InputError, match="--series OLD=NEW"):
        joined(twins, [series("int8")])


def test_both_precisions_of_one_result_are_compared_by_a_text_of_their_names():
    both = [series(precision, size) for precision in ("fp32", "int8") for size in (1, 8)]
    assert joined(both, both, ("fp32", "int8")) == [
        (both[0].name, both[2].name),
        (both[1].name, both[3].name),
    ]
    assert joined(both, both, (both[0].name, both[3].name)) == [(both[0].name, both[3].name)]


def test_a_text_that_no_name_holds_is_refused_with_the_names():
    with pytest.raises(InputError, match=r"A has 'inference openvino-fp32, batch 8'.*'fp64'"):
        joined([series("fp32")], [series("int8")], ("fp64", "int8"))


def test_a_refusal_lists_a_few_names_only():
    with pytest.raises(InputError, match="and 15 more"):
        joined([series("fp32", n) for n in range(20)], [series("int8", kind="latency")])


def test_results_of_different_things_are_refused():
    with pytest.raises(InputError, match="A measured engine, B measured score"):
        join(result(series("fp32")), result(series("fp32"), what="score"))


def test_what_is_over_in_milliseconds_is_compared_only_if_asked_for():
    stages = [series("fp32", stage=stage) for stage in ("read", "decode", "write", "score")]
    whole = result(*stages, what="score")
    assert [pair.a.stage for pair in join(whole, whole)] == ["decode", "score"]
    assert [pair.a.stage for pair in join(whole, whole, ("read", "read"))] == ["read"]
