"""The fastest precision runs that was measured and passed; others are refused or forced."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hambatch.engines.manifest import Manifest, Variant, read_manifest
from hambatch.engines.precision import Choice, choose_precision
from hambatch.errors import BackendError, EngineError
from hambatch.system.cpu import int8_kernels, kernels_of
from tests.engines.int8_engine import gate_of, with_gates, with_int8
from tests.engines.own_images import keep, tuning_of

HERE = int8_kernels()

on_any_processor = pytest.mark.parametrize("processor", ["without_bfloat16", "with_bfloat16"])


@pytest.fixture(scope="module")
def manifest(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(with_int8(tiny_engine, tmp_path_factory.mktemp("int8") / "tiny"))


def gated(manifest: Manifest, where: str = HERE, flips: int = 9, **others: Any) -> Manifest:
    return with_gates(manifest, replace(gate_of(manifest, where, flips), **others))


def all_gated(manifest: Manifest, **flips: int) -> Manifest:
    """Give every precision a gate that was measured here."""
    gates = (
        gate_of(manifest, kernels_of(one), flips.get(one.replace("-", "_"), 4), one)
        for one in ("int8-bf16", "bf16", "int8")
    )
    return with_gates(manifest, *gates)


NO_GATE = ("int8 gate not measured on this instruction set", "not measured here")
FAILED = (
    "int8 gate failed: 3.0 % of labels change, balanced accuracy -0.20 points, "
    "melanoma sensitivity -1.00 points",
    "failed",
)


@pytest.mark.usefixtures("without_bfloat16")
def test_auto_takes_int8_where_its_gate_passed(manifest: Manifest) -> None:
    found = choose_precision(gated(manifest), "openvino", "auto")
    assert found == Choice("auto", "int8", "gate passed: 0.9 % of labels change", "passed")


@pytest.mark.usefixtures("without_bfloat16")
def test_a_gate_measured_with_another_version_says_so(manifest: Manifest) -> None:
    engine = gated(manifest, versions={"openvino": "2026.3"})
    found = choose_precision(engine, "openvino", "auto")
    assert found.used == "int8"
    assert found.why == "gate passed: 0.9 % of labels change, measured with openvino 2026.3"


@pytest.mark.usefixtures("without_bfloat16")
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


@pytest.mark.usefixtures("with_bfloat16")
@pytest.mark.parametrize(
    ("flips", "used", "why"),
    [
        ({}, "int8-bf16", "gate passed: 0.4 % of labels change"),
        ({"int8_bf16": 21}, "bf16", "gate passed: 0.4 % of labels change; int8-bf16 gate failed: "),
        # BF16 has the narrower limit.
        ({"int8_bf16": 21, "bf16": 6}, "int8", "gate passed: 0.4 % of labels change; int8-bf16 "),
        ({"int8_bf16": 21, "bf16": 6, "int8": 21}, "fp32", "int8-bf16 gate failed: 2.1 % of "),
    ],
)
def test_auto_takes_the_fastest_whose_gate_passed_and_says_why_no_faster_one(
    manifest: Manifest, flips: dict[str, int], used: str, why: str
) -> None:
    found = choose_precision(all_gated(manifest, **flips), "openvino", "auto")
    assert (found.used, found.gate) == (used, "failed" if used == "fp32" else "passed")
    assert found.why.startswith(why)
    assert ("bf16 gate failed: 0.6 %" in found.why) == ("bf16" in flips)


@pytest.mark.usefixtures("with_bfloat16")
def test_gates_that_were_not_measured_are_named_together(manifest: Manifest) -> None:
    found = choose_precision(gated(manifest), "openvino", "auto")
    assert found.used == "int8"
    assert found.why == (
        "gate passed: 0.9 % of labels change; "
        "int8-bf16 and bf16 gates not measured on this instruction set"
    )
    none = choose_precision(manifest, "openvino", "auto")
    assert none == Choice(
        "auto",
        "fp32",
        "int8-bf16, bf16 and int8 gates not measured on this instruction set",
        "not measured here",
    )


@pytest.mark.usefixtures("with_bfloat16")
@pytest.mark.parametrize("precision", ["bf16", "int8-bf16"])
def test_a_gate_is_for_one_precision_alone(manifest: Manifest, precision: str) -> None:
    assert choose_precision(all_gated(manifest), "openvino", precision).gate == "passed"
    # INT8's gate, and even one that is said to be of these kernels, allows no BF16.
    engine = with_gates(
        manifest, gate_of(manifest, HERE), gate_of(manifest, kernels_of("int8-bf16"))
    )
    said = rf"{precision} gate not measured.*; wanted a gate that passed on {kernels_of(precision)}"
    with pytest.raises(EngineError, match=said):
        choose_precision(engine, "openvino", precision)
    forced = choose_precision(engine, "openvino", precision, force=True)
    assert (forced.used, forced.gate, forced.forced) == (precision, "not measured here", True)


@pytest.mark.usefixtures("without_bfloat16")
@pytest.mark.parametrize(("precision", "instead"), [("bf16", "fp32"), ("int8-bf16", "int8")])
def test_nothing_is_emulated_where_the_processor_does_not_multiply_bfloat16(
    manifest: Manifest, precision: str, instead: str
) -> None:
    engine = all_gated(manifest)
    assert choose_precision(engine, "openvino", "auto").used == "int8"
    said = rf"found {int8_kernels().split()[0]}.*, wanted avx512_bf16 or amx_bf16\.\nNext: "
    with pytest.raises(BackendError, match=f"{said}--precision {instead}$"):
        choose_precision(engine, "openvino", precision, force=True)


def test_force_that_was_not_needed_is_not_recorded(manifest: Manifest) -> None:
    found = choose_precision(gated(manifest), "openvino", "int8", force=True)
    assert (found.used, found.forced) == ("int8", False)


@on_any_processor
def test_fp32_needs_no_gate(
    manifest: Manifest, processor: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(processor)
    found = choose_precision(all_gated(manifest), "openvino", "fp32")
    assert found == Choice("fp32", "fp32", "--precision fp32")


@pytest.mark.usefixtures("without_bfloat16")
def test_an_engine_without_an_int8_graph_runs_fp32(tiny_engine: Path) -> None:
    manifest = read_manifest(tiny_engine)
    found = choose_precision(manifest, "openvino", "auto")
    assert found == Choice("auto", "fp32", "the engine has no int8 graph")
    with pytest.raises(EngineError, match="no int8 graph; it has: fp32"):
        choose_precision(manifest, "openvino", "int8", force=True)


@pytest.mark.usefixtures("with_bfloat16")
def test_an_engine_without_an_int8_graph_may_run_bf16(tiny_engine: Path) -> None:
    manifest = read_manifest(tiny_engine)
    found = choose_precision(manifest, "openvino", "auto")
    assert (found.used, found.gate) == ("fp32", "not measured here")
    assert choose_precision(manifest, "openvino", "bf16", force=True).used == "bf16"
    with pytest.raises(EngineError, match="no int8 graph; it has: fp32"):
        choose_precision(manifest, "openvino", "int8-bf16", force=True)


@on_any_processor
def test_keras_runs_fp32_only(
    manifest: Manifest, processor: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(processor)
    assert choose_precision(gated(manifest), "keras", "auto").used == "fp32"
    for precision in ("int8", "bf16"):
        with pytest.raises(EngineError, match=rf"runs fp32 only, wanted {precision}\.\n.*openvino"):
            choose_precision(gated(manifest), "keras", precision, force=True)


@pytest.mark.usefixtures("with_bfloat16")
def test_a_gpu_runs_no_bf16(manifest: Manifest) -> None:
    assert choose_precision(all_gated(manifest), "tensorrt", "auto").used == "fp32"
    with pytest.raises(EngineError, match=r"runs fp32, fp16 and int8 only, wanted int8-bf16"):
        choose_precision(all_gated(manifest), "tensorrt", "int8-bf16")


def test_a_graph_of_another_name_is_no_int8_graph(manifest: Manifest) -> None:
    first, int8 = manifest.variants
    renamed = replace(manifest, variants=(first, Variant("int4", int8.file)))
    assert choose_precision(renamed, "openvino", "auto").used == "fp32"


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))


OWN = "tuned on 600 own images, 2026-03-01: 0.5 % of labels change, drift 0.030"


@pytest.mark.usefixtures("own_cache", "with_bfloat16")
def test_auto_takes_the_fastest_that_was_tuned_here_by_the_rates_of_this_machine(
    manifest: Manifest,
) -> None:
    keep(manifest, tuning_of(manifest, rates={"int8": 300}))
    assert choose_precision(manifest, "openvino", "auto") == Choice("auto", "int8", OWN, "tuned")
    for precision in ("int8", "bf16", "int8-bf16"):
        found = choose_precision(manifest, "openvino", precision)
        assert found == Choice(precision, precision, OWN, "tuned")
    for backend in ("tensorrt", "keras"):
        assert choose_precision(manifest, backend, "auto").used == "fp32"
    with pytest.raises(EngineError, match="gate not measured on a GPU"):
        choose_precision(manifest, "tensorrt", "int8")


@pytest.mark.usefixtures("own_cache", "with_bfloat16")
def test_what_is_beyond_the_limits_of_tune_is_passed_over_and_refused(manifest: Manifest) -> None:
    keep(manifest, tuning_of(manifest, flips=6))
    found = choose_precision(manifest, "openvino", "auto")
    assert (found.used, found.gate) == ("int8-bf16", "tuned")
    keep(manifest, tuning_of(manifest, flips=13))
    found = choose_precision(manifest, "openvino", "auto")
    assert (found.used, found.gate) == ("fp32", "failed")
    beyond = (
        "int8 is beyond its limits, tuned on 600 own images, 2026-03-01: "
        "2.2 % of labels change, drift 0.030 (limits: 2 %, 0.1)"
    )
    assert beyond in found.why
    with pytest.raises(EngineError, match=rf"{re.escape(beyond)}; wanted a gate that passed on"):
        choose_precision(manifest, "openvino", "int8")
    forced = choose_precision(manifest, "openvino", "int8", force=True)
    assert forced == Choice("int8", "int8", beyond, "failed", forced=True)


@pytest.mark.usefixtures("own_cache", "without_bfloat16")
@pytest.mark.parametrize("flips", [3, 13])
def test_a_gate_that_was_measured_here_decides_whatever_was_tuned(
    manifest: Manifest, flips: int
) -> None:
    keep(manifest, tuning_of(manifest, flips))
    failed = choose_precision(gated(manifest, flips=30), "openvino", "auto")
    assert failed == Choice("auto", "fp32", *FAILED)
    passed = choose_precision(gated(manifest), "openvino", "auto")
    assert (passed.used, passed.gate) == ("int8", "passed")
    said = f"{100 * flips / 600:.1f} % of labels change, drift 0.030"
    assert re.fullmatch(rf"gate passed: 0\.9 % .*; .*on 600 own images, .*: {said}.*", passed.why)


@pytest.mark.usefixtures("own_cache", "with_bfloat16")
def test_among_those_whose_gates_passed_the_rates_of_this_machine_decide(
    manifest: Manifest,
) -> None:
    keep(manifest, tuning_of(manifest, rates={"bf16": 200}))
    assert choose_precision(all_gated(manifest), "openvino", "auto").used == "bf16"


@pytest.mark.usefixtures("own_cache", "without_bfloat16")
def test_what_is_no_faster_than_fp32_on_this_machine_is_taken_by_name_only(
    manifest: Manifest,
) -> None:
    keep(manifest, tuning_of(manifest, rates={"int8": 65.0}))
    why = "int8 is no faster than fp32 here (65 and 65 images/s, tuned 2026-03-01)"
    for engine in (manifest, gated(manifest)):
        found = choose_precision(engine, "openvino", "auto")
        assert found == Choice("auto", "fp32", why, "not needed")
        assert choose_precision(engine, "openvino", "int8").used == "int8"


@pytest.mark.usefixtures("own_cache", "with_bfloat16")
def test_it_says_why_what_was_tuned_is_not_used(manifest: Manifest) -> None:
    tuning = tuning_of(manifest)
    keep(manifest, replace(tuning, versions=tuning.versions | {"openvino": "1"}))
    ignored = "what engines tune has kept is not used: openvino was 1, is "
    found = choose_precision(manifest, "openvino", "auto")
    assert (found.used, found.gate) == ("fp32", "not measured here")
    assert ignored in found.why
    with pytest.raises(EngineError, match=rf"{ignored}.*\nNext: hambatch engines tune SOURCE "):
        choose_precision(manifest, "openvino", "int8")
    # A choice that the gates alone make has nothing to add.
    assert ignored not in choose_precision(all_gated(manifest), "openvino", "auto").why
    keep(manifest, replace(tuning, precisions=tuning.precisions[:1]))
    assert "other precisions than this" in choose_precision(manifest, "openvino", "auto").why
