"""A gate is measured on the validation images alone, reported, and written where it is used."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from hambatch.engines.loading import load_engine
from hambatch.engines.manifest import EngineFile, read_manifest
from hambatch.engines.measurements import Gate
from hambatch.engines.precision import cheaper_here, choose_precision
from hambatch.errors import BackendError, EngineError, InputError
from hambatch.evaluation.measures import evaluate
from hambatch.evaluation.sample import MELANOMA
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.rows import predict_files
from hambatch.system.cpu import int8_kernels, kernels_of
from hambatch.training.dataset import labels_of, read_dataset
from hambatch.training.gate import (
    BALANCED_ACCURACY,
    MELANOMA_SENSITIVITY,
    changes,
    gate_engine,
    gate_lines,
    measure_gates,
    record_gates,
)
from tests.engines.int8_engine import gate_of, put_gate, with_int8
from tests.training.conftest import write_split

RNG = np.random.default_rng(3)


class Measured(NamedTuple):
    """An engine whose gate was measured by the command, its split table, and what was printed.

    No test changes it: those that write take a copy, or an engine without a gate.
    """

    engine: Path
    split: Path
    files: dict[str, EngineFile]
    done: Result

    @property
    def gates(self) -> dict[str, Gate]:
        return gates_of(self.engine)


def gates_of(engine: Path) -> dict[str, Gate]:
    """Every gate of this processor, by its precision."""
    variants = read_manifest(engine).variants
    gates = (gate for variant in variants for gate in variant.gates)
    return {one.precision: one for one in gates if one.instruction_set == kernels_of(one.precision)}


@pytest.fixture(scope="module")
def measured(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    place = tmp_path_factory.mktemp("measured")
    engine, split = with_int8(tiny_engine, place / "tiny"), write_split(place)
    before = read_manifest(engine)
    assert choose_precision(before, "openvino", "auto").used == "fp32"
    arguments = ["engines", "verify", "--gate", "--data", str(split), str(engine)]
    return Measured(engine, split, before.files, CliRunner().invoke(hambatch, arguments))


@pytest.fixture
def engine(tiny_engine: Path, tmp_path: Path) -> Path:
    return with_int8(tiny_engine, tmp_path / "tiny")


def test_its_figures_are_those_of_the_two_tables(measured: Measured) -> None:
    dataset, gates = read_dataset(measured.split), measured.gates
    assert gates.keys() == set(cheaper_here(read_manifest(measured.engine)))
    val = dataset.part("val")
    truth, labels = labels_of(val["dx"]), {}
    for precision in ("fp32", *gates):
        options = ScoreOptions.on_cpu(engine=str(measured.engine), precision=precision, force=True)
        rows = predict_files(dataset.root, list(val["file"]), options)
        assert {row.backend for row in rows} == {f"openvino-{precision}"}
        labels[precision] = labels_of(row.prediction for row in rows)
        found = evaluate(
            truth, labels[precision], pd.DataFrame([r.probabilities for r in rows]).to_numpy()
        )
        figures = found["balanced_accuracy"], found["classes"]["mel"]["sensitivity"]
        for gate in gates.values() if precision == "fp32" else [gates[precision]]:
            mine = gate.balanced_accuracy, gate.melanoma_sensitivity
            assert (
                tuple(one.fp32 if precision == "fp32" else one.cheaper for one in mine) == figures
            )
    for precision, gate in gates.items():
        assert (gate.images, gate.lesions) == (21, 14)
        assert gate.label_flips == (labels["fp32"] != labels[precision]).sum()
        for change in (gate.balanced_accuracy, gate.melanoma_sensitivity):
            assert change.interval[0] <= change.change <= change.interval[1]


def test_measured_twice_it_is_the_same_byte_for_byte(measured: Measured, tmp_path: Path) -> None:
    again = Path(shutil.copytree(measured.engine, tmp_path / "again"))
    before = {path.name: path.read_bytes() for path in again.iterdir()}
    written = (again / "engine.json").stat().st_ino
    gate_engine(again, measured.split, lambda _: None, precision="int8")
    assert (again / "engine.json").stat().st_ino != written
    assert {path.name: path.read_bytes() for path in again.iterdir()} == before


def test_gates_that_pass_make_the_fastest_the_choice(measured: Measured) -> None:
    done = measured.done
    assert done.exit_code == 0, done.output
    for precision in measured.gates:
        assert f"tiny 1: {precision} against fp32, openvino, {kernels_of(precision)}" in done.output
        assert f"the gate of {precision} is passed" in done.output
    assert re.search(r"21 validation images of 14 lesions", done.output)
    assert f"written to {measured.engine.resolve() / 'engine.json'}" in done.output
    manifest = load_engine(measured.engine).manifest
    assert manifest.files == measured.files
    assert choose_precision(manifest, "openvino", "auto").used == cheaper_here(manifest)[0]


def test_one_precision_is_measured_alone_and_the_gates_of_others_stay(
    engine: Path, split: Path
) -> None:
    bf16 = gate_of(read_manifest(engine), kernels_of("bf16"), 4, "bf16")
    put_gate(engine, gate_of(read_manifest(engine), int8_kernels()), bf16)
    arguments = ["engines", "verify", "--gate", "--precision", "int8", "--data", str(split)]
    done = CliRunner().invoke(hambatch, [*arguments, str(engine)])
    assert done.output.count("against fp32") == 1
    found = gates_of(engine)
    assert (found["int8"].images, found["bf16"]) == (21, bf16)


@pytest.mark.usefixtures("without_bfloat16")
def test_a_precision_that_the_processor_lacks_is_not_measured(engine: Path, split: Path) -> None:
    dataset = read_dataset(split)
    assert [gate.precision for gate in measure_gates(load_engine(engine), dataset)] == ["int8"]
    with pytest.raises(BackendError, match="wanted avx512_bf16 or amx_bf16"):
        list(measure_gates(load_engine(engine), dataset, "bf16"))


def test_a_graph_that_answers_otherwise_fails_and_is_not_used(
    tiny_engine: Path, split: Path, tmp_path: Path
) -> None:
    bad = with_int8(tiny_engine, tmp_path / "bad", mixed_up=True)
    put_gate(bad, gate_of(read_manifest(bad), int8_kernels()))
    arguments = ["engines", "verify", "--gate", "--precision", "int8", "--data", str(split)]
    done = CliRunner().invoke(hambatch, [*arguments, str(bad)])
    assert done.exit_code == 1
    assert "the gate of int8 is FAILED" in done.output
    # It took the place of the one that claimed to have passed.
    found = choose_precision(read_manifest(bad), "openvino", "auto")
    assert (found.used, found.gate) == ("fp32", "failed")


def test_a_dry_run_writes_nothing(engine: Path, split: Path) -> None:
    before = (engine / "engine.json").read_bytes()
    assert gate_engine(engine, split, lambda _: None, precision="int8", dry_run=True)
    assert (engine / "engine.json").read_bytes() == before


def test_gates_of_other_machines_stay(engine: Path, measured: Measured) -> None:
    other = gate_of(read_manifest(engine), "x86_64 sse4_2", flips=500)
    put_gate(engine, other)
    record_gates(load_engine(engine), list(measured.gates.values()))
    assert other in read_manifest(engine).variant("int8").gates
    assert gates_of(engine) == measured.gates


def test_what_was_measured_is_reported_before_an_engine_that_cannot_be_written(
    engine: Path, split: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[str] = []
    # Root may write everywhere: a folder in the place of the temporary file stops it too.
    monkeypatch.setattr("secrets.token_hex", lambda count: "0" * 2 * count)
    (engine / ".engine.json.00000000.tmp").mkdir()
    with pytest.raises((InputError, OSError)):
        gate_engine(engine, split, reported.append, precision="int8")
    assert "label flips" in reported[0]
    assert read_manifest(engine).variant("int8").gates == ()


def test_an_engine_that_changed_meanwhile_is_not_written(engine: Path, measured: Measured) -> None:
    before = load_engine(engine)
    put_gate(engine, gate_of(before.manifest, "x86_64 sse4_2"))
    with pytest.raises(EngineError, match="changed while the gate was measured"):
        record_gates(before, [measured.gates["int8"]])


def test_an_image_that_is_not_the_tables_is_refused(engine: Path, split: Path) -> None:
    dataset = read_dataset(split)
    first, second = (dataset.root / name for name in ("image_00.jpg", "image_01.jpg"))
    first.write_bytes(second.read_bytes())
    with pytest.raises(InputError, match=r"image_00\.jpg is not the image of the split table"):
        list(measure_gates(load_engine(engine), dataset))
    first.unlink()
    with pytest.raises(InputError, match=r"image_00\.jpg cannot be scored"):
        list(measure_gates(load_engine(engine), dataset))


@pytest.mark.parametrize("without", ["val", "mel"])
def test_a_table_without_validation_melanomas_is_refused(
    engine: Path, split: Path, without: str
) -> None:
    table = pd.read_csv(split, dtype=str, keep_default_na=False)
    kept = table[(table["split"] != "val") | ((table["dx"] != without) & (without != "val"))]
    kept.to_csv(split, index=False)
    with pytest.raises(InputError, match="no melanoma among them"):
        list(measure_gates(load_engine(engine), read_dataset(split)))


@pytest.mark.usefixtures("without_bfloat16")
def test_an_engine_without_int8_has_nothing_to_measure(tiny_engine: Path, split: Path) -> None:
    with pytest.raises(EngineError, match="no int8 graph"):
        list(measure_gates(load_engine(tiny_engine), read_dataset(split)))


@pytest.mark.parametrize(
    "arguments", [["--gate"], ["--data", "split.csv"], ["--dry-run"], ["--precision", "int8"]]
)
def test_options_that_need_each_other_are_refused_alone(arguments: list[str]) -> None:
    done = CliRunner().invoke(hambatch, ["engines", "verify", *arguments])
    assert done.exit_code == 2


def test_the_record_in_the_engine_names_what_it_was_measured_with(measured: Measured) -> None:
    raw = json.loads((measured.engine / "engine.json").read_text())
    (written,) = (one for one in raw["variants"][1]["gates"] if "precision" not in one)
    assert written["fp32_sha256"] == raw["files"]["model.onnx"]["sha256"]
    assert written["int8_sha256"] == raw["files"]["model.int8.onnx"]["sha256"]
    assert written["split_sha256"] == read_dataset(measured.split).split_sha256
    assert {"openvino", "nvidia-dali-cuda120"} <= written["versions"].keys()
    assert written["passed"] is True


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"trained_on": ["train"]}, "(split 555555555555, part val)"),
        ({"trained_on": ["train", "val"]}, "the engine was trained on them"),
        ({"split_sha256": "6" * 64}, "not the split that the engine was trained with"),
    ],
)
def test_it_says_what_the_images_are_to_the_engine(engine: Path, data: dict, said: str) -> None:
    manifest = replace(read_manifest(engine), data=data)
    assert said in gate_lines(manifest, gate_of(manifest, int8_kernels()))[1]


def test_equal_labels_differ_by_nothing() -> None:
    truth, predicted = RNG.integers(0, 7, (2, 300))
    found = changes(truth, predicted, predicted, np.arange(300))
    assert [(change.change, change.interval) for change in found.values()] == [(0, (0, 0))] * 2


def test_it_holds_the_difference_and_is_narrower_than_an_unpaired_one() -> None:
    truth = np.arange(700) % 7
    first = np.where(RNG.random(700) < 0.6, truth, (truth + 1) % 7)
    second = first.copy()
    second[:70] = (truth[:70] + 2) % 7
    wanted = 100 * np.mean(
        [
            (second == truth)[truth == k].mean() - (first == truth)[truth == k].mean()
            for k in range(7)
        ]
    )
    found = changes(truth, first, second, np.arange(700))[BALANCED_ACCURACY]
    low, high = found.interval
    assert low < wanted < high
    assert found.change == pytest.approx(wanted)
    # Two independent samples of 700 would give about 10 points.
    assert high - low < 6


def test_photographs_of_one_lesion_count_once() -> None:
    truth = np.full(200, MELANOMA)
    first = truth.copy()
    second = np.where(np.arange(200) < 20, 0, truth)
    alone, together = (
        changes(truth, first, second, lesions)[MELANOMA_SENSITIVITY].interval
        for lesions in (np.arange(200), np.arange(200) // 10)
    )
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_of_the_images_does_not_matter(seed: int) -> None:
    truth, first, second = RNG.integers(0, 7, (3, 200))
    groups = RNG.integers(0, 90, 200)
    order = np.random.default_rng(seed).permutation(200)
    shuffled = changes(truth[order], first[order], second[order], groups[order])
    assert shuffled == changes(truth, first, second, groups)
