"""The run plan: where and in which precision a run computes, resolved before it starts."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hambatch.checks.options import VerifyOptions
from hambatch.checks.verify.verify import verify
from hambatch.cli import hambatch
from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import read_manifest
from hambatch.engines.precision import cheaper_here
from hambatch.errors import BackendError, EngineError, InputError, SentinelError
from hambatch.scoring import plan as planning
from hambatch.scoring.device_names import numbers_in
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import place, plan_run
from hambatch.scoring.record import options_of, read_record
from hambatch.scoring.run import score
from hambatch.scoring.sentinels.recording import record_sentinels
from hambatch.sinks.formats import read_rows
from hambatch.sinks.publish import record_path
from hambatch.sources.source import folder_of_images
from hambatch.system.cpu import available_cores, int8_kernels, kernels_of
from hambatch.system.gpus import Gpu, Probe
from tests.backends.tensorrt.host_gpus import host_gpus
from tests.conftest import claim_bfloat16, needs_bfloat16
from tests.engines.int8_engine import answer_one_class, gate_of, put_gate, with_int8

__all__ = ["host_gpus"]

ONE = Gpu(0, "NVIDIA A", (8, 9), 1 << 34, "")
TWO = replace(ONE, ordinal=1)
OTHER = Gpu(2, "NVIDIA B", (9, 0), 1 << 34, "")
THREE = Probe("580.1", 13000, (ONE, TWO, OTHER), "", "")
NONE = Probe("", 0, (), "no NVIDIA driver is installed", "hambatch doctor", absent=True)


def three() -> Probe:
    return THREE


def never() -> Probe:
    raise AssertionError("the driver was probed")


@pytest.fixture
def all_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_is_installed", lambda package: True)


@pytest.mark.usefixtures("all_packages")
def test_auto_takes_the_first_gpu_that_can_be_used_else_the_cpu_and_says_why() -> None:
    found = place("auto", "auto", three)
    assert (found.backend, found.device, found.why) == ("tensorrt", "0", "NVIDIA A")
    found = place("auto", "auto", lambda: NONE)
    assert (found.backend, found.device) == ("openvino", "cpu")
    assert found.why == "no NVIDIA driver is installed"


def test_auto_without_the_packages_probes_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "_is_installed", lambda package: package != "pycuda")
    found = place("auto", "auto", never)
    assert (found.backend, found.why) == ("openvino", "pycuda is not installed")


@pytest.mark.parametrize(
    ("device", "backend", "wanted"),
    [
        ("cpu", "auto", ("openvino", "cpu")),
        ("auto", "openvino", ("openvino", "cpu")),
        ("auto", "keras", ("keras", "cpu")),
        ("cpu", "keras", ("keras", "cpu")),
        ("gpu", "auto", ("tensorrt", "0")),
        ("gpu", "tensorrt", ("tensorrt", "0")),
        ("auto", "tensorrt", ("tensorrt", "0")),
        ("1", "auto", ("tensorrt", "1")),
        ("1,0", "auto", ("tensorrt", "1,0")),
    ],
)
def test_device_and_backend_go_together(device: str, backend: str, wanted: tuple[str, str]) -> None:
    found = place(device, backend, never if wanted[1] == "cpu" else three)
    assert (found.backend, found.device) == wanted


@pytest.mark.parametrize(
    ("device", "backend", "named"),
    [
        ("0", "openvino", "openvino backend computes on the CPU"),
        ("gpu", "keras", "keras backend computes on the CPU"),
        ("cpu", "tensorrt", "tensorrt backend computes on the GPU"),
    ],
)
def test_a_backend_is_not_sent_where_it_does_not_compute(
    device: str, backend: str, named: str
) -> None:
    with pytest.raises(InputError, match=rf"{named}[^\n]*--device {device}.\nNext: --backend"):
        place(device, backend, never)


def test_several_gpus_have_to_be_of_one_model() -> None:
    with pytest.raises(BackendError, match=r"GPU 0 is a NVIDIA A and GPU 2 a NVIDIA B"):
        place("0,2", "auto", three)


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(BackendError, match=r"no GPU 7 here; there is: 0 \(NVIDIA A\), 1"):
        place("7", "auto", three)
    with pytest.raises(BackendError, match=r"no NVIDIA driver.*\nNext: .*or --device cpu"):
        place("gpu", "auto", lambda: NONE)


@pytest.mark.parametrize("device", ["", "gpus", "0,", "0,0", "-1", "1.0", "cpu,0", "²", "9" * 5000])
def test_what_is_no_device_is_refused(device: str) -> None:
    with pytest.raises(InputError, match=r"wanted auto, cpu, gpu, or different numbers"):
        numbers_in(device)


def test_a_gpu_that_is_wanted_and_not_there_ends_the_command_before_it_writes(
    tmp_path: Path,
) -> None:
    images, out = tmp_path / "images", tmp_path / "rows.csv"
    command = CliRunner()
    command.invoke(hambatch, ["samples", str(images), "--count", "2"], standalone_mode=False)
    with pytest.raises(BackendError, match=r"\nNext: "):
        command.invoke(
            hambatch,
            ["score", str(images), "--out", str(out), "--device", "77"],
            catch_exceptions=False,
            standalone_mode=False,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize("command", ["score DIR --out x.csv", "parity DIR", "bench score DIR"])
def test_what_is_no_device_is_wrong_usage(command: str, tmp_path: Path) -> None:
    arguments = [str(tmp_path) if word == "DIR" else word for word in command.split()]
    ran = CliRunner().invoke(hambatch, [*arguments, "--device", "0,0"])
    assert ran.exit_code == 2
    assert "wanted auto, cpu, gpu, or different numbers" in ran.output


# A job for each worker


def test_the_job_of_the_cpu_has_the_options_and_the_cores(
    tiny_engine: Path, tmp_path: Path
) -> None:
    options = ScoreOptions(engine=str(tiny_engine), threads=3, streams=2, max_megabytes=1.5)
    plan = plan_run(tiny_engine, options, folder_of_images(tmp_path))
    assert (plan.devices, [*plan.jobs]) == (("cpu",), ["cpu"])
    assert (plan.job.streams, plan.job.decode_threads) == (2, 3)
    assert plan.cores == min(3, available_cores())
    assert (plan.job.limits.max_bytes, plan.job.roots) == (1_500_000, (tmp_path.resolve(),))
    assert plan.given == options
    used = {"device": "cpu", "backend": "openvino", "precision": "fp32"}
    assert plan.used == replace(options, **used)
    assert plan_run(tiny_engine, options).job.roots == ()


@pytest.mark.usefixtures("host_gpus")
def test_every_gpu_has_a_job_and_the_cpu_one_for_what_they_leave(tiny_engine: Path) -> None:
    options = ScoreOptions(engine=str(tiny_engine), device="1,0", precision="fp16")
    plan = plan_run(tiny_engine, options)
    assert plan.devices == ("1", "0")
    assert {name: job.gpu for name, job in plan.jobs.items()} == {"1": 1, "0": 0, "cpu": None}
    names = [job.backend_name for job in plan.jobs.values()]
    assert names == ["tensorrt-fp16", "tensorrt-fp16", "openvino-fp32"]


@pytest.mark.usefixtures("host_gpus")
def test_the_cpu_takes_over_only_where_a_gpu_is_gone_that_auto_had_chosen(
    tiny_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ScoreOptions(engine=str(tiny_engine), precision="fp16")
    assert not plan_run(tiny_engine, options, began_on_gpu=True).takes_over
    monkeypatch.setenv("HOST_GPUS", "0")
    plan = plan_run(tiny_engine, options, began_on_gpu=True)
    assert plan.takes_over
    assert (plan.choice.wanted, plan.choice.used) == ("fp16", "fp32")
    # The CPU has no FP16 of its own to begin with.
    with pytest.raises(EngineError, match="fp32, bf16, int8 and int8-bf16 only"):
        plan_run(tiny_engine, options)
    with pytest.raises(BackendError, match="no NVIDIA driver"):
        plan_run(tiny_engine, replace(options, device="0"), began_on_gpu=True)


# The precision


@pytest.fixture(scope="module")
def made(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = with_int8(tiny_engine, tmp_path_factory.mktemp("int8") / "tiny")
    record_sentinels(folder)
    put_gate(folder, gate_of(read_manifest(folder), int8_kernels()))
    return folder


@pytest.fixture
def refused(made: Path, tmp_path: Path) -> Path:
    """The engine with a gate that failed here."""
    folder = Path(shutil.copytree(made, tmp_path / "refused"))
    put_gate(folder, gate_of(read_manifest(folder), int8_kernels(), flips=30))
    return folder


@pytest.fixture(scope="module")
def int8_table(images: Path, made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of a run in the precision that ``auto`` chooses."""
    return run(images, tmp_path_factory.mktemp("auto") / "p.csv", made)


def run(images: Path, out: Path, engine: Path, *, again: bool = False, **options: Any) -> Path:
    score([images], out, "csv", ScoreOptions(engine=str(engine), **options), retry_failed=again)
    return out


def backends(out: Path) -> set[str]:
    return {row.backend for row in read_rows(out, "csv")}


def test_auto_scores_with_int8_and_says_so(made: Path, int8_table: Path) -> None:
    record = read_record(record_path(int8_table))
    assert backends(int8_table) == {"openvino-int8"}
    # A processor that has faster ones adds that their gates were not measured.
    record["precision"]["why"] = record["precision"]["why"].partition(";")[0]
    assert record["precision"] == {
        "wanted": "auto",
        "used": "int8",
        "why": "gate passed: 0.9 % of labels change",
        "gate": "passed",
        "forced": False,
    }
    assert record["engine"]["graph"] == "model.int8.onnx"
    assert record["fingerprint"]["backend"] == {"name": "openvino", "precision": "int8"}
    # What was typed stays what was typed.
    assert options_of(record["options"]) == ScoreOptions(engine=str(made))


def test_sentinels_are_compared_with_the_record_in_the_same_precision(
    made: Path, images: Path, int8_table: Path, tmp_path: Path
) -> None:
    fp32 = run(images, tmp_path / "fp32.csv", made, precision="fp32")
    for out in (fp32, int8_table):
        found = read_record(record_path(out))["sentinels"]
        assert (found["reference"], found["tolerance_at_start"]) == ("engine", 1e-4)
        assert found["deviation_at_start"] == 0


@needs_bfloat16
def test_auto_scores_with_int8_bf16_and_the_table_is_verified_with_it_and_without(
    made: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, out = Path(shutil.copytree(made, tmp_path / "tiny")), tmp_path / "p.csv"
    manifest, gate = read_manifest(engine), kernels_of("int8-bf16")
    put_gate(engine, gate_of(manifest, gate, precision="int8-bf16"))
    run(images, out, engine)
    record = read_record(record_path(out))
    assert backends(out) == {"openvino-int8-bf16"}
    assert record["fingerprint"]["backend"]["precision"] == "int8-bf16"
    assert (record["engine"]["graph"], record["precision"]["gate"]) == ("model.int8.onnx", "passed")
    found = record["sentinels"]
    assert (found["tolerance_at_start"], found["deviation_at_start"]) == (1e-4, 0)
    verdict = verify(out, [images], "csv", VerifyOptions(sample=5))
    assert verdict.differences == []
    assert "to the last digit" in verdict.proven
    # INT8 alone scores it again where the processor does not multiply bfloat16.
    claim_bfloat16(monkeypatch, set())
    verdict = verify(out, [images], "csv", VerifyOptions(sample=5))
    assert verdict.differences == []
    assert "within" in verdict.proven


def test_a_graph_that_answers_one_class_for_all_images_stops_the_run(
    made: Path, images: Path, tmp_path: Path
) -> None:
    """Some forms of compiled graphs do: their rows would look like rows."""
    engine, out = Path(shutil.copytree(made, tmp_path / "tiny")), tmp_path / "p.csv"
    answer_one_class(engine / "model.int8.onnx")
    manifest = read_manifest(engine)
    # Without a record of its own, a precision has to say what that of its graph says.
    int8 = tuple(one for one in manifest.sentinels.also if one.precision == "int8")
    write_manifest(engine, replace(manifest, sentinels=replace(manifest.sentinels, also=int8)))
    with pytest.raises(SentinelError, match=r"sentinel_\d\.jpg had wrong scores in batch 1"):
        run(images, out, engine, precision=cheaper_here(manifest)[0], force=True)
    assert not out.exists()


def test_int8_that_was_forced_is_in_every_record_and_verified_as_it_is(
    refused: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    with pytest.raises(EngineError, match="or --force"):
        run(images, out, refused, precision="int8")
    assert not (tmp_path / "p.csv.journal").exists()
    run(images, out, refused, precision="int8", force=True)
    record = read_record(record_path(out))
    assert (record["precision"]["gate"], record["precision"]["forced"]) == ("failed", True)
    assert backends(out) == {"openvino-int8"}
    verdict = verify(out, [images], "csv", VerifyOptions(sample=5))
    assert verdict.differences == []
    assert "to the last digit" in verdict.proven


def test_a_run_cannot_be_retried_in_another_precision(
    made: Path, image_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    (image_folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    run(image_folder, out, made)
    with pytest.raises(InputError, match="backend precision was int8, is fp32"):
        run(image_folder, out, made, precision="fp32", again=True)
    before = out.read_bytes()
    run(image_folder, out, made, precision="int8", again=True)
    assert out.read_bytes() == before


def test_a_record_of_before_there_was_a_choice_is_still_verified(
    images: Path, clean: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copy(clean, tmp_path / "p.csv"))
    whole = json.loads(record_path(clean).read_text())
    del whole["precision"], whole["options"]["force"]
    record_path(out).write_text(json.dumps(whole))
    verdict = verify(out, [images], "csv", VerifyOptions(sample=2))
    assert verdict.differences == []
