"""INT8 runs where it was measured and passed; anything else is FP32, refused or forced."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hambatch.engines.manifest import Manifest, Variant, read_manifest
from hambatch.engines.precision import Choice, choose_precision
from hambatch.errors import EngineError
from hambatch.system.cpu import int8_kernels
from tests.engines.int8_engine import gate_of, with_int8

HERE = int8_kernels()


@pytest.fixture(scope="module")
def manifest(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(with_int8(tiny_engine, tmp_path_factory.mktemp("int8") / "tiny"))


def gated(manifest: Manifest, where: str = HERE, flips: int = 9, **others: Any) -> Manifest:
    first, int8 = manifest.variants
    gate = replace(gate_of(manifest, where, flips), **others)
    return replace(manifest, variants=(first, replace(int8, gates=(gate,))))


NO_GATE = ("int8 gate not measured on this instruction set", "not measured here")
FAILED = (
    "int8 gate failed: 3.0 % of labels change, balanced accuracy -0.20 points, "
    "melanoma sensitivity -1.00 points",
    "failed",
)


def test_auto_takes_int8_where_its_gate_passed(manifest: Manifest) -> None:
    found = choose_precision(gated(manifest), "openvino", "auto")
    assert found == Choice("auto", "int8", "gate passed: 0.9 % of labels change", "passed")


def test_a_gate_measured_with_another_version_says_so(manifest: Manifest) -> None:
    engine = gated(manifest, versions={"openvino": "2026.3"})
    found = choose_precision(engine, "openvino", "auto")
    assert found.used == "int8"
    assert found.why == "gate passed: 0.9 % of labels change, measured with openvino 2026.3"


@pytest.mark.parametrize(
    ("where", "others", "result"),
    [
        (HERE, {"flips": 30}, FAILED),
        ("x86_64 sse4_2", {}, NO_GATE),
        (HERE, {"backend": "tensorrt"}, NO_GATE),
        (HERE, {"int8_sha256": "0" * 64}, NO_GATE),
        (HERE, {"fp32_sha256": "0" * 64}, NO_GATE),
    ],
)
def test_anything_else_is_fp32_by_itself_and_int8_only_by_force(
    manifest: Manifest, where: str, others: dict[str, object], result: tuple[str, str]
) -> None:
    engine = gated(manifest, where, **others)  # type: ignore[arg-type]
    assert choose_precision(engine, "openvino", "auto") == Choice("auto", "fp32", *result)
    # --force is for --precision int8: it makes no choice.
    assert choose_precision(engine, "openvino", "auto", force=True).used == "fp32"
    next_step = r"--gate --data split\.csv tiny, or --precision fp32"
    with pytest.raises(EngineError, match=rf"{re.escape(result[0])}; wanted a.*\n.*{next_step}"):
        choose_precision(engine, "openvino", "int8")
    forced = choose_precision(engine, "openvino", "int8", force=True)
    assert forced == Choice("int8", "int8", *result, forced=True)


def test_force_that_was_not_needed_is_not_recorded(manifest: Manifest) -> None:
    found = choose_precision(gated(manifest), "openvino", "int8", force=True)
    assert (found.used, found.forced) == ("int8", False)


def test_fp32_needs_no_gate(manifest: Manifest) -> None:
    found = choose_precision(gated(manifest), "openvino", "fp32")
    assert found == Choice("fp32", "fp32", "--precision fp32")


def test_an_engine_without_an_int8_graph_runs_fp32(tiny_engine: Path) -> None:
    manifest = read_manifest(tiny_engine)
    found = choose_precision(manifest, "openvino", "auto")
    assert found == Choice("auto", "fp32", "the engine has no int8 graph")
    with pytest.raises(EngineError, match="no int8 graph; it has: fp32"):
        choose_precision(manifest, "openvino", "int8", force=True)


def test_keras_runs_fp32_only(manifest: Manifest) -> None:
    assert choose_precision(gated(manifest), "keras", "auto").used == "fp32"
    with pytest.raises(EngineError, match="--backend openvino"):
        choose_precision(gated(manifest), "keras", "int8", force=True)


def test_a_graph_of_another_name_is_no_int8_graph(manifest: Manifest) -> None:
    first, int8 = manifest.variants
    renamed = replace(manifest, variants=(first, Variant("int4", int8.file)))
    assert choose_precision(renamed, "openvino", "auto").used == "fp32"
