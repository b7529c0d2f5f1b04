"""Results hold all that was measured."""

import json
import math
import statistics
from typing import Any

import pytest

from hambatch.bench.compare_file import read_result
from hambatch.bench.report import as_text
from tests.bench.conftest import SAMPLES

FIELDS = (
    "format kind what measured_utc verdict machine versions hambatch engine source options "
    "throughput latency stages ceiling"
).split()
RATE_FIELDS = (
    "name stage settings images warmup_images images_per_s median min max cpu_cores peak_rss_mb"
).split()
LATENCY_FIELDS = "name stage settings samples repeats_p50_ms percentiles_ms not_valid".split()


@pytest.fixture(params=["engine", "pipeline", "score"])
def result(request: pytest.FixtureRequest) -> dict[str, Any]:
    return request.getfixturevalue(f"{request.param}_result")


def test_a_result_has_every_field_and_survives_json(result: dict[str, Any]) -> None:
    assert list(result) == FIELDS
    assert json.loads(json.dumps(result, allow_nan=False))["what"] == result["what"]
    assert set(result["machine"]) == {"cpu", "cores", "instruction_set", "memory_gib", "system"}
    assert len(result["engine"]["engine_json_sha256"]) == 64
    assert "openvino" in result["versions"]


def test_the_comparison_reads_what_was_measured(result: dict[str, Any], tmp_path: Any) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps(result))
    count = len(result["throughput"]) + len(result["latency"])
    assert len(read_result(path).series) == count


def test_every_repeat_is_kept_and_the_warm_up_is_not(result: dict[str, Any]) -> None:
    for entry in result["throughput"]:
        assert set(RATE_FIELDS) <= set(entry)
        rates = entry["images_per_s"]
        assert len(rates) == result["options"]["repeats"]
        assert entry["median"] == pytest.approx(statistics.median(rates), abs=1e-3)
        assert (entry["min"], entry["max"]) == (min(rates), max(rates))
        assert entry["warmup_images"] == entry["images"] >= 10
        assert 0 < entry["min"] <= entry["max"] < math.inf


def test_no_two_series_have_the_same_name(result: dict[str, Any]) -> None:
    for kind in ("throughput", "latency"):
        names = [entry["name"] for entry in result[kind]]
        assert len(set(names)) == len(names)


def test_a_process_has_the_memory_of_what_it_does(result: dict[str, Any]) -> None:
    # An interpreter alone takes some 10 MB; OpenVINO and DALI tens of them.
    for entry in result["throughput"]:
        heavy = entry["stage"] in {"decode", "inference", "score"}
        assert entry["peak_rss_mb"] > (60 if heavy else 5)
        assert 0 <= entry["cpu_cores"] < 2 * result["machine"]["cores"]


def test_broken_files_are_left_out_and_counted(result: dict[str, Any]) -> None:
    assert (result["source"]["images"], result["source"]["left_out"]) == (6, 2)
    assert not result["source"]["generated"]
    assert result["source"]["megapixels_median"] == 0.27
    assert "2 broken ones left out" in as_text(result)


def test_the_verdict_is_the_last_line(result: dict[str, Any]) -> None:
    assert as_text(result).splitlines()[-1] == f"Verdict: {result['verdict']}"


def test_a_sweep_is_every_combination(engine_result: dict[str, Any]) -> None:
    found = {
        tuple(entry["settings"][key] for key in ("batch_size", "streams", "threads_a_stream"))
        for entry in engine_result["throughput"]
    }
    assert found == {(1, 2, 2), (4, 2, 2)}
    assert len(engine_result["throughput"]) == 2
    # One request at a time leaves no use for a second stream.
    assert [entry["settings"]["streams"] for entry in engine_result["latency"]] == [1, 1]


def test_pipeline_combinations_and_reading_alone(pipeline_result: dict[str, Any]) -> None:
    stages = [entry["stage"] for entry in pipeline_result["throughput"]]
    assert stages == ["read", "decode", "decode"]
    best = max(entry["median"] for entry in pipeline_result["throughput"][1:])
    assert pipeline_result["stages"]["decode"] == best


def test_latencies_say_which_percentiles_have_too_few_samples(
    engine_result: dict[str, Any],
) -> None:
    for entry in engine_result["latency"]:
        assert set(LATENCY_FIELDS) <= set(entry)
        assert SAMPLES <= entry["samples"] < SAMPLES + 3
        assert len(entry["repeats_p50_ms"]) == 3
        found = entry["percentiles_ms"]
        assert 0 < found["50"] <= found["90"]
        assert (found["95"], found["99"]) == (None, None)
        assert entry["not_valid"]["99"] == f"needs 459 samples, has {entry['samples']}"
    assert "lowest p90: " in engine_result["verdict"]
    assert "p99 needs 459 samples" in as_text(engine_result)


def test_a_run_has_its_stages_its_start_and_its_ceiling(score_result: dict[str, Any]) -> None:
    assert list(score_result["stages"]) == ["read", "decode", "inference", "write", "score"]
    run = score_result["throughput"][-1]
    assert run["stage"] == "score"
    assert len(run["start_s"]) == 2
    assert min(run["start_s"]) > 0.1
    # At least those that come to every row of a request at the end.
    assert run["known_pictures"] >= 4
    ceiling = score_result["ceiling"]
    assert 0 < ceiling["share_of_ceiling"] < ceiling["share_with_known_pictures"]
    assert ceiling["bound_by"] in score_result["verdict"]
    assert f"{100 * ceiling['share_of_ceiling']:.0f} % of the ceiling" in score_result["verdict"]
