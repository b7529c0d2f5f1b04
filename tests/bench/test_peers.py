"""`benchmarks/peers.py` and its contenders: who takes part, in which precision, what is found."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hambatch.engines.backend_names import BF16, FP32, INT8, INT8_BF16
from hambatch.engines.manifest import read_manifest
from tests.conftest import REPOSITORY, needs_bfloat16, write_tiny_engine
from tests.engines.int8_engine import with_int8
from tests.waiting import HANGS_S

ALL = [FP32, BF16, INT8, INT8_BF16]


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")


@pytest.fixture
def task(tiny_engine: Path, tmp_path: Path) -> Any:
    from contenders.task import Task

    return Task(tmp_path, ("a.jpg",) * 4, tiny_engine, FP32, 2, tmp_path)


def installed_copy(place: Path) -> Path:
    """Give a Python that has a copy of the package, as another installation is."""
    shutil.copytree(REPOSITORY / "hambatch", place / "copy" / "hambatch")
    python = place / "python"
    python.write_text(
        f"""#!/bin/sh\nPYTHONPATH='{place / "copy"}' exec '{sys.executable}' "$@"\n"""
    )
    python.chmod(0o755)
    return python


@pytest.mark.slow
def test_one_run_holds_rates_ratios_and_both_versions(tmp_path: Path, tiny_engine: Path) -> None:
    python, out = installed_copy(tmp_path), tmp_path / "result.json"
    words = ["--only", "own_inference", "--precision", FP32, "--repeats", 1]
    words += ["--count", 8, "--sweep-count", 8, "--engine", tiny_engine, "--out", out]
    words += ["--before", python, tiny_engine, "--scratch", tmp_path]
    line = [sys.executable, REPOSITORY / "benchmarks" / "peers.py", *words]
    done = subprocess.run(
        [*map(str, line)], capture_output=True, text=True, timeout=HANGS_S, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    names = {"own_inference_fp32", "before", "after"}
    assert set(result["images_per_s"]) == names
    assert result["took"] == {"before": "openvino-fp32", "after": "openvino-fp32"}
    assert list(result["ratios"]) == ["after"]
    after, before = (result["repeats"][name][0] for name in ("after", "before"))
    assert result["ratios"]["after"]["of_before"]["repeats"] == [round(after / before, 4)]
    assert result["before"]["versions"].keys() >= {"hambatch", "openvino"}
    assert result["fastest_ceiling"]["inference_by"] == ["own_inference_fp32"]
    assert result["energy"].startswith(("counted", "not counted"))


def test_a_version_is_not_compared_with_itself() -> None:
    from contenders.installed import installation

    with pytest.raises(SystemExit, match="this same hambatch"):
        installation(sys.executable)


def test_both_versions_run_the_same_graphs(tmp_path: Path, tiny_engine: Path, task: Any) -> None:
    from peers import versions_of

    before, after = versions_of(["old", str(tiny_engine)], None, task)
    assert (before.name, before.task.python, before.task.precision) == ("before", "old", "auto")
    assert after.task == replace(before.task, python=sys.executable)
    other = write_tiny_engine(tmp_path / "other", temperature=2)
    with pytest.raises(SystemExit, match="has other graphs"):
        versions_of(["old", str(tiny_engine)], other, task)


def test_a_command_takes_its_own_precision_or_the_one_that_is_measured(task: Any) -> None:
    from contenders.hambatch_command import words

    own = words(replace(task, precision="auto"), Path("images"), Path("out.csv"))
    assert "--precision" not in own
    assert words(task, Path("images"), Path("out.csv")) == [*own, "--precision", FP32, "--force"]


def test_every_precision_and_every_graph_takes_part_once(task: Any) -> None:
    from contenders.turns import entries

    found = entries(["score", "onnxruntime", "decode"], ALL, task)
    names = [f"score_{p}" for p in ALL]
    assert [one.name for one in found] == [*names, "onnxruntime_fp32", "onnxruntime_int8", "decode"]
    assert [one.task.precision for one in found[:6]] == [*ALL, FP32, INT8]


def test_precisions_are_those_of_engine_and_processor(
    tmp_path: Path, tiny_engine: Path, with_bfloat16: None
) -> None:
    from peers import choices_of, precisions_of

    choices = choices_of(read_manifest(with_int8(tiny_engine, tmp_path / "int8")))
    assert list(choices) == ["auto", *ALL]
    assert choices[INT8].gate == "not measured here"
    assert precisions_of(None, choices) == ALL
    with pytest.raises(SystemExit, match="int4: not of this engine"):
        precisions_of([FP32, "int4"], choices)


def test_ceilings_and_ratios_are_taken_within_each_repeat() -> None:
    from contenders.ratios import ceilings, fastest_ceilings, fastest_inference, ratios

    rates = {
        "decode": [100.0, 300.0],
        "inference_fp32": [100.0, 60.0],
        "inference_bf16": [100.0, 150.0],
        "own_inference_bf16": [300.0, 100.0],
        "inference_int8": [900.0, 900.0],
        "score_fp32": [25.0, 50.0],
        "score_bf16": [75.0, 75.0],
        "command_bf16": [60.0, 80.0],
        "before": [40.0, 40.0],
        "after": [50.0, 60.0],
        "pytorch_eager_bf16": [10.0, 15.0],
        "onnxruntime_fp32": [20.0, 25.0],
    }
    assert ceilings(rates, FP32) == pytest.approx([50, 50])
    allowed = [FP32, BF16]
    assert fastest_inference(rates, allowed) == ["own_inference_bf16", "inference_bf16"]
    assert fastest_ceilings(rates, allowed) == pytest.approx([75, 100])
    found = ratios(rates, BF16, allowed)
    score, command = found["score_bf16"], found["command_bf16"]
    assert {name: of["repeats"] for name, of in score.items()} == {
        "of_fp32": [3.0, 1.5],
        "of_ceiling": [1.5, 0.75],
        "of_fastest_ceiling": [1.0, 0.75],
        "of_pytorch_eager_bf16": [7.5, 5.0],
        "of_onnxruntime_fp32": [3.75, 3.0],
    }
    assert command["of_before"] == {
        "median": 1.75,
        "min_max": [1.5, 2.0],
        # Student's t of two values is wide: 12.7 standard errors of 0.25.
        "mean_95": {"mean": 1.75, "low": -1.4266, "high": 4.9266},
        "repeats": [1.5, 2.0],
    }
    assert "of_fp32" not in ratios(rates, FP32, allowed)["score_fp32"]


@pytest.mark.parametrize("precision", [FP32, pytest.param(BF16, marks=needs_bfloat16)])
def test_benchmark_app_says_which_precision_it_took(task: Any, precision: str) -> None:
    from contenders.benchmark_app import build

    setting = {"hint": "none", "streams": 1, "batch": 2, "graph": "file"}
    run = build(replace(task, precision=precision), setting)()
    assert run.took == {FP32: "float32", BF16: "bfloat16"}[precision]
    assert run.images == 8
    assert run.images_per_s > 0
    assert run.images_per_joule is None


def test_benchmark_app_in_another_precision_is_no_ceiling() -> None:
    from contenders.benchmark_app import precision_taken

    with pytest.raises(RuntimeError, match="wanted bfloat16"):
        precision_taken(INT8_BF16, "[ INFO ]   INFERENCE_PRECISION_HINT: <Type: 'float16'>\n")


def write_zone(powercap: Path, name: str, microjoules: int) -> None:
    zone = powercap / name
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "name").write_text("core\n" if name.count(":") > 1 else f"package-{name[-1]}\n")
    (zone / "max_energy_range_uj").write_text("1000000\n")
    (zone / "energy_uj").write_text(f"{microjoules}\n")


def test_energy_is_that_of_all_packages_and_counters_begin_again(tmp_path: Path) -> None:
    from contenders.meter import Meter, energy_counted

    place = tmp_path / "zones"
    for name in ("intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"):
        write_zone(place, name, 900_000)
    meter = Meter(place)
    write_zone(place, "intel-rapl:0", 950_000)
    write_zone(place, "intel-rapl:1", 100_000)
    write_zone(place, "intel-rapl:0:0", 999_000)
    assert meter.spent().joules == pytest.approx(0.05 + 0.2)
    assert energy_counted(place) == "counted by RAPL, processor packages: 2"


def test_without_counters_no_energy_is_made_up(tmp_path: Path) -> None:
    from contenders.meter import Meter, Run, Spent, energy_counted

    assert Meter(tmp_path).spent().joules is None
    assert energy_counted(tmp_path).startswith("not counted")
    assert Spent(3.0, 9.0).less(Spent(1.0, 3.0)) == Spent(2.0, 6.0)
    assert Run(12, Spent(2.0, 6.0)).images_per_joule == 2
    assert Spent(3.0, 9.0).less(Spent(1.0)).joules is None
