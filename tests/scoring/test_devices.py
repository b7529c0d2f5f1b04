"""Whole runs on GPUs of host memory: one, several, and some that fail."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from hambatch.errors import BackendError, EngineError, InputError, SentinelError
from hambatch.scoring.record import read_record
from hambatch.scoring.sentinels.recording import record_sentinels
from hambatch.sinks.publish import record_path
from tests.backends.tensorrt.host_gpus import gpus_of_host_memory, host_gpus
from tests.conftest import jpeg_bytes

__all__ = ["host_gpus"]

pytestmark = pytest.mark.usefixtures("host_gpus")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty pictures, one of them cut off and one no picture; no test changes them."""
    folder = tmp_path_factory.mktemp("forty") / "images"
    folder.mkdir()
    for k in range(38):
        (folder / f"{k:02d}.jpg").write_bytes(jpeg_bytes(k, 64 + k))
    (folder / "05_cut.jpg").write_bytes(jpeg_bytes(99)[:900])
    (folder / "30_text.jpg").write_bytes(b"no picture")
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(
        hambatch, [*map(str, arguments)], catch_exceptions=False, standalone_mode=False
    )


def score(images: Path, engine: Path, out: Path, *options: str) -> tuple[bytes, dict[str, Any]]:
    run("score", images, "--out", out, "--engine", engine, "--batch-size", 4, *options)
    return out.read_bytes(), json.loads(out.with_name(f"{out.name}.run.json").read_text())


def without_who(table: bytes) -> bytes:
    return table.replace(b"dali-gpu,tensorrt-", b"dali-cpu,openvino-")


@pytest.fixture(scope="module")
def by_cpu(images: Path, tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("by_cpu") / "cpu.csv"
    return score(images, tiny_engine, out, "--device", "cpu")[0]


def on_gpus(table: bytes) -> bool:
    return b"openvino" not in table


def test_auto_takes_the_gpu_says_so_and_gives_the_rows_of_the_cpu(
    images: Path, tiny_engine: Path, tmp_path: Path, by_cpu: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "gpu.csv"
    options = ("--out", out, "--engine", tiny_engine, "--batch-size", 4)
    said = run("score", images, *options).output
    assert "gpu 0 (Host-Memory GPU), tensorrt-fp32" in said
    table, record = out.read_bytes(), read_record(record_path(out))
    assert table.count(b"dali-gpu,tensorrt-fp32") == 38
    assert without_who(table) == by_cpu
    assert record["device"]["kind"] == "gpu"
    assert record["fingerprint"]["device"]["gpu"] == "Host-Memory GPU"
    assert record["options"]["device"] == "auto"
    # It is verified where there is no GPU, too.
    monkeypatch.setenv("HOST_GPUS", "0")
    assert "all agree, the probabilities within 2e-02" in run("verify", out, images).output


def test_two_gpus_write_the_bytes_of_one(
    images: Path, tiny_engine: Path, tmp_path: Path, by_cpu: bytes
) -> None:
    two, record = score(images, tiny_engine, tmp_path / "two.csv", "--device", "1,0")
    assert without_who(two) == by_cpu
    assert on_gpus(two)
    shares = record["sentinels"]["by_device"]
    assert sorted(shares) == ["0", "1"]
    # Both had images to score: sentinels came at the start, among them, and at the end.
    assert all(share["checked"] > 4 for share in shares.values())


def test_a_gpu_that_fails_hands_over_to_the_others(
    images: Path,
    tiny_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    by_cpu: bytes,
) -> None:
    monkeypatch.setenv("HOST_GPUS", "3")
    monkeypatch.setenv("HOST_GPU_FAILS", "1:4")
    several, record = score(images, tiny_engine, tmp_path / "several.csv", "--device", "0,1,2")
    assert without_who(several) == by_cpu
    assert on_gpus(several)
    (handed,) = record["device"]["handed_over"]
    assert (handed["from"], handed["to"]) == ("GPU 1", "GPU 0 and GPU 2")
    assert "Xid 79" in handed["why"]
    assert f"{handed['why']}; GPU 0 and GPU 2 do the rest of its images" in caplog.text


def test_where_every_gpu_fails_the_cpu_does_the_rest(
    images: Path,
    tiny_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    by_cpu: bytes,
) -> None:
    monkeypatch.setenv("HOST_GPU_FAILS", "*:4")
    out = tmp_path / "rows.csv"
    table, record = score(images, tiny_engine, out, "--device", "0,1")
    assert without_who(table) == by_cpu
    assert b"openvino-fp32" in table
    assert {handed["to"] for handed in record["device"]["handed_over"]} == {"the CPU"}
    # What the CPU did is verified on the CPU.
    monkeypatch.delenv("HOST_GPU_FAILS")
    verdict = run("verify", out, images)
    assert "all agree" in verdict.output


@pytest.mark.parametrize(
    ("device", "fails", "to"),
    [
        ("0,1", "1:4:kill", "GPU 0"),
        ("auto", "0:1:kill", "the CPU"),
        ("0", "0:1:hang", "the CPU"),
    ],
)
def test_a_gpu_whose_process_dies_or_hangs_hands_over(
    images: Path,
    tiny_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    by_cpu: bytes,
    device: str,
    fails: str,
    to: str,
) -> None:
    monkeypatch.setenv("HOST_GPU_FAILS", fails)
    out = tmp_path / "rows.csv"
    options = ("--device", device, "--decode-seconds", "2")
    table, record = score(images, tiny_engine, out, *options)
    assert without_who(table) == by_cpu
    assert to == "the CPU" or on_gpus(table)
    (handed,) = record["device"]["handed_over"]
    assert (handed["from"], handed["to"]) == (f"GPU {fails[0]}", to)
    assert f"{handed['why']}; {to} does the rest of its images" in caplog.text
    cause = "gave no answer for 2 s" if "hang" in fails else "died of signal 6"
    assert handed["why"].startswith(f"the worker process {cause}, at ")


def test_a_gpu_that_fails_as_it_is_released_has_nothing_to_hand_over(
    images: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_cpu: bytes
) -> None:
    monkeypatch.setenv("HOST_GPU_FAILS", "0:close")
    table, record = score(images, tiny_engine, tmp_path / "rows.csv", "--device", "0")
    assert without_who(table) == by_cpu
    assert not record["device"].get("handed_over")
    (lost,) = record["timing"]["workers_lost"]
    assert lost == "the GPU failed (releasing it), all its answers given"


def test_why_a_gpus_process_ended_is_told_in_its_own_words(
    images: Path,
    tiny_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HOST_GPU_FAILS", "0:import")
    _, record = score(images, tiny_engine, tmp_path / "rows.csv", "--device", "auto")
    (handed,) = record["device"]["handed_over"]
    why = "the worker process died with exit code 1: ImportError: libnvinfer.so.11: no such file"
    assert handed["why"] == why
    assert f"GPU 0 failed: {why}; the CPU does the rest of its images" in caplog.messages


def test_a_gpu_whose_engine_is_refused_is_a_refusal_only_where_it_was_asked_for(
    images: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_cpu: bytes
) -> None:
    monkeypatch.setenv("HOST_GPU_FAILS", "0:load")
    table, record = score(images, tiny_engine, tmp_path / "rows.csv", "--device", "auto")
    assert table == by_cpu
    (handed,) = record["device"]["handed_over"]
    assert (handed["to"], handed["why"]) == ("the CPU", "the plan does not fit")
    with pytest.raises(EngineError, match="does not fit"):
        score(images, tiny_engine, tmp_path / "asked.csv", "--device", "0")


@pytest.fixture(scope="module")
def with_killers(
    images: Path, tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, dict[str, Any]]:
    """A run on two GPUs, each of which gets a file that kills it; one of them kills the CPU too."""
    out = tmp_path_factory.mktemp("killers") / "rows.csv"
    with pytest.MonkeyPatch.context() as patch, gpus_of_host_memory(tmp_path_factory, patch):
        patch.setattr("hambatch.scoring.worker.supervisor.REPLACEABLE_LOST_AT_MOST", 2)
        hashes = {k: sha256((images / f"{k}.jpg").read_bytes()).hexdigest() for k in ("03", "35")}
        patch.setenv("HOST_GPU_CRASHES_AT", " ".join(hashes.values()))
        patch.setenv("HOST_CPU_CRASHES_AT", hashes["03"])
        return score(images, tiny_engine, out, "--device", "0,1")


def test_a_file_that_kills_every_decoder_is_a_failed_row_and_costs_no_device(
    with_killers: tuple[bytes, dict[str, Any]], by_cpu: bytes
) -> None:
    table, record = with_killers
    failed = [line for line in table.splitlines() if line.startswith(b"03.jpg,failed")]
    assert failed[0].endswith(b"the decoder died of signal 11,,,review,not scored")
    others = without_who(table).splitlines()
    assert [line for line in others if line not in failed] == [
        line for line in by_cpu.splitlines() if not line.startswith(b"03.jpg")
    ]
    assert table.count(b"tensorrt-fp32") == 36
    assert not record["device"].get("handed_over")


def test_a_file_that_kills_a_gpus_decoder_is_left_to_the_cpu_and_costs_no_gpu(
    with_killers: tuple[bytes, dict[str, Any]],
) -> None:
    table, record = with_killers
    by_the_cpu = [line for line in table.splitlines() if b"openvino" in line]
    assert [line.partition(b",")[0] for line in by_the_cpu] == [b"35.jpg"]
    assert not record["device"].get("handed_over")
    # Two a GPU, though none may lose more; and two of the CPU.
    assert record["timing"]["workers_lost"] == ["died of signal 11"] * 6


def test_a_gpu_that_answers_wrongly_stops_the_run_also_beside_a_good_one(
    images: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_GPU_WRONG", "1")
    known = tmp_path / "known"
    known.mkdir()
    for path in tiny_engine.iterdir():
        (known / path.name).write_bytes(path.read_bytes())
    record_sentinels(known)
    out = tmp_path / "rows.csv"
    with pytest.raises(SentinelError, match="the sentinel"):
        score(images, known, out, "--device", "0,1")
    assert not out.exists()


def test_without_a_plan_auto_takes_the_cpu_and_a_gpu_that_is_asked_for_is_refused(
    images: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_GPU_BUILDS", "refused")
    out = tmp_path / "rows.csv"
    said = run("score", images, "--out", out, "--engine", tiny_engine).output
    assert "cpu (Host-Memory GPU is there, but the fp32 plan of tiny could not be built" in said
    assert b"openvino-fp32" in out.read_bytes()
    with pytest.raises(BackendError, match=r"could not be built.*\nNext: hambatch build"):
        score(images, tiny_engine, tmp_path / "gpu.csv", "--device", "0")


def test_a_run_of_several_gpus_goes_on_with_one(
    images: Path, tiny_engine: Path, tmp_path: Path, by_cpu: bytes
) -> None:
    """The number of GPUs changes no row, so it may change between starts; the decoder may not."""
    out = tmp_path / "rows.csv"
    # The second failed image is one of the last: whichever GPU is first, rows are kept by then.
    with pytest.raises(InputError, match="fail-over"):
        score(images, tiny_engine, out, "--device", "0,1", "--fail-over", "3")
    with pytest.raises(InputError, match="hw_decoder_load"):
        score(images, tiny_engine, out, "--device", "0", "--hw-decoder-load", "0.5")
    again, _ = score(images, tiny_engine, out, "--device", "1")
    assert without_who(again) == by_cpu
    assert on_gpus(again)
