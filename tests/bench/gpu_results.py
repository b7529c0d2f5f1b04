"""What a result measured on a GPU holds, whoever measured it."""

from collections.abc import Sequence
from typing import Any

import pytest

from hambatch.bench.report import as_text
from hambatch.pipelines.options import DecoderOptions


def check_engine(found: dict[str, Any]) -> None:
    """In FP16, eight images a request, in one stream or in as many as a GPU gets."""
    (entry,) = found["throughput"]
    streams = entry["settings"]["streams"]
    words = f"{streams} stream{'s' * (streams > 1)} x 1 thread"
    assert entry["name"] == f"tensorrt-fp16, batch 8, {words}"
    assert entry["settings"]["gpu"] == 0
    assert found["latency"]
    assert all(entry["percentiles_ms"]["50"] > 0 for entry in found["latency"])
    machine = found["machine"]
    hashes = machine["plan_sha256"]
    assert list(hashes) == ["fp16, batch 8"]
    assert {len(sha) for sha in hashes.values()} == {64}
    assert f"GPU 0: {machine['gpu']}, driver {machine['driver']}" in as_text(found)


def check_pipeline(found: dict[str, Any], loads: Sequence[float]) -> None:
    read, *decoded = found["throughput"]
    assert read["stage"] == "read"
    assert [entry["name"].rpartition(", ")[2] for entry in decoded] == [
        f"hw_decoder_load {load:g}" for load in loads
    ]
    assert {entry["settings"]["decoder"] for entry in decoded} == {"dali-gpu"}
    assert found["machine"]["gpu_number"] == 0


def check_score(
    found: dict[str, Any], precision: str, load: float = DecoderOptions.hw_decoder_load
) -> None:
    assert list(found["stages"]) == ["read", "decode", "inference", "write", "score"]
    run = found["throughput"][-1]
    assert run["name"].startswith(f"score, tensorrt-{precision}, batch ")
    assert run["settings"]["hw_decoder_load"] == load
    assert run["settings"]["decoder"] == "dali-gpu"
    assert run["known_pictures"] > 0
    ceiling = found["ceiling"]
    assert ceiling["formula"] == "min(decode, inference)"
    assert ceiling["images_per_s"] == pytest.approx(
        min(found["stages"]["decode"], found["stages"]["inference"]), abs=1e-2
    )
    assert list(found["machine"]["plan_sha256"]) == [f"{precision}, batch 64"]
