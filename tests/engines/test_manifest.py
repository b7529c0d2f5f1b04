"""`engine.json` is read whole or refused, naming the file, the field and what was found."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hambatch.engines.loading import find_engine, write_manifest
from hambatch.engines.manifest import Manifest, Variant, read_manifest
from hambatch.engines.measurements import Change
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.sentinels import MeasuredOn, Recorded, Sentinel, Sentinels
from hambatch.errors import EngineError
from hambatch.system.files import as_json
from tests.engine_json import rewrite
from tests.engines.fitted import calibration_of
from tests.engines.int8_engine import gate_of, put_gate

KNOWN = (0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1)
SENTINELS = Sentinels(
    (Sentinel("one.jpg", KNOWN),),
    tolerance_elsewhere=0.002,
    measured_on=MeasuredOn("openvino-fp32", "dali-cpu", "x86_64 avx2"),
    also=(Recorded("int8", MeasuredOn("openvino-int8", "dali-cpu", "x"), 0.05, (KNOWN[::-1],)),),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An engine with every section; its graphs are a few bytes: nothing here executes them."""
    for name in ("model.onnx", "model.int8.onnx", "card.md", "one.jpg"):
        (tmp_path / name).write_bytes(f"content of {name}".encode())
    manifest = Manifest(
        name="tiny",
        version="1",
        files={},
        variants=(
            Variant("fp32", "model.onnx", {"images": 64}),
            Variant("int8", "model.int8.onnx"),
        ),
        calibration=calibration_of(1.5),
        sentinels=SENTINELS,
        metrics={"balanced_accuracy": 0.5},
        training={"hidden_units": 16},
    )
    put_gate(tmp_path, gate_of(write_manifest(tmp_path, manifest), "x86_64 avx2"))
    return tmp_path


MISSING = object()


FIGURES = {
    "kind": "internal",
    "name": "test",
    "images": 3,
    "classes": {"mel": 3},
    "figures": {"ece": {"value": 0.1, "interval": [0.0, 0.2]}},
    "predictions_sha256": "1" * 64,
    "truth_sha256": "2" * 64,
    "hambatch": "1",
    "scored": {"backend": "openvino", "precision": "int8"},
}


def change(folder: Path, place: str, value: object) -> None:
    """Write another value at a place such as ``variants.1.gates``, under a checksum that fits."""
    path = folder / "engine.json"
    whole: Any = json.loads(path.read_text())
    *parents, last = (int(step) if step.isdigit() else step for step in place.split("."))
    part = whole
    for step in parents:
        part = part[step]
    if value is MISSING:
        del part[last]
    else:
        part[last] = value
    rewrite(path, whole)


def test_what_is_written_is_read_back(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert write_manifest(folder, manifest) == manifest
    assert manifest.calibration == calibration_of(1.5)
    assert manifest.sentinels == SENTINELS
    assert manifest.variant("int8").gates == (gate_of(manifest, "x86_64 avx2"),)
    assert manifest.variant("fp32") == Variant("fp32", "model.onnx", {"images": 64})
    assert manifest.training == {"hidden_units": 16}


def test_the_installed_engine_is_written_as_it_stands() -> None:
    folder = find_engine(DEFAULT_ENGINE)
    written = as_json(read_manifest(folder).to_json())
    assert written == (folder / "engine.json").read_text(encoding="utf-8")


def test_an_engine_without_a_calibration_has_no_such_field(folder: Path) -> None:
    manifest = replace(read_manifest(folder), calibration=None)
    assert "calibration" not in manifest.to_json()
    assert write_manifest(folder, manifest).calibration is None


def test_an_engine_from_before_checksums_gates_and_sentinels_is_read(folder: Path) -> None:
    path, before = folder / "engine.json", read_manifest(folder)
    whole = json.loads(path.read_text())
    for name in ("sha256", "calibration", "sentinels"):
        del whole[name]
    for variant in whole["variants"]:
        del variant["gates"]
    path.write_text(json.dumps(whole))
    variants = tuple(replace(variant, gates=()) for variant in before.variants)
    assert read_manifest(folder) == replace(
        before, calibration=None, sentinels=Sentinels(), variants=variants
    )


def test_a_manifest_in_another_order_is_the_same(folder: Path) -> None:
    path, before = folder / "engine.json", read_manifest(folder)
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items())), indent=4))
    assert read_manifest(folder) == before


@pytest.mark.parametrize("place", range(0, 4000, 74))
def test_a_flipped_bit_of_the_manifest_is_refused(folder: Path, place: int) -> None:
    path = folder / "engine.json"
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1
    path.write_bytes(content)
    with pytest.raises(EngineError, match=r"engine\.json cannot be (used|read)"):
        read_manifest(folder)


def test_a_temperature_of_the_graph_is_ignored_only_where_it_changes_nothing(folder: Path) -> None:
    written = read_manifest(folder)
    change(folder, "temperature", 1.0)
    assert read_manifest(folder) == written
    change(folder, "temperature", 1.5)
    with pytest.raises(EngineError, match=r"its temperature is 1\.5, wanted a calibration"):
        read_manifest(folder)


NAN = float("nan")
OF_CALIBRATION = [
    *[("temperature", value) for value in (0, -1.5, "1.5", True, None)],
    ("temperature", MISSING),
    ("warmth", 1),
    ("fitted_on", []),
    ("fitted_on.split_sha256", 5),
    ("fitted_on.parts", "val"),
    ("fitted_on.parts", [1]),
    ("fitted_on.parts", []),
    ("fitted_on.images", 0),
    ("fitted_on.lesions", 2.5),
    ("fitted_on.source", MISSING),
    ("ece.before", 1.5),
    ("ece.after", None),
    ("ece.after_interval", [0.1]),
    ("log_loss", None),
    ("log_loss.before", -0.1),
    ("log_loss.after_interval", ["low", "high"]),
]


@pytest.mark.parametrize(("place", "value"), OF_CALIBRATION)
def test_what_is_no_calibration_is_refused_by_name(folder: Path, place: str, value: object) -> None:
    change(folder, f"calibration.{place}", value)
    last = place.rpartition(".")[2]
    with pytest.raises(EngineError, match=rf"engine\.json cannot be used: .*{last}"):
        read_manifest(folder)


GATE, SECOND = "variants.1.gates.0", "sentinels.also.0"


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("format", 2, "its format is 2, this hambatch reads 1"),
        ("classes", ["bcc", "akiec", "bkl", "df", "mel", "nv", "vasc"], "its classes are"),
        ("input", MISSING, "it has no input"),
        ("input.height", "tall", r"input\.height is 'tall', wanted int"),
        ("surprise", 1, "unknown fields: surprise"),
        ("data.trained_on", ["urain"], r"trained on \['urain'\], wanted parts of"),
        ("calibration", None, "calibration is null"),
        ("calibration.temperature", NAN, "it is not JSON"),
        ("variants.0.file", "other.onnx", r"graph 'other\.onnx' has no sha256"),
        (f"{GATE}.images", 0, r"gates\[0\]\.images is 0, wanted int >= 1"),
        (f"{GATE}.images", 10.5, r"images is 10\.5"),
        (f"{GATE}.label_flips", -1, "label_flips is -1"),
        (f"{GATE}.label_flips", 1001, "label_flips is 1001, wanted at most its images"),
        (f"{GATE}.label_flips", True, "label_flips is True"),
        (f"{GATE}.lesions", 2000, "lesions is 2000"),
        (f"{GATE}.backend", "", "backend is ''"),
        (f"{GATE}.int8_sha256", None, "int8_sha256 is None"),
        (f"{GATE}.precision", "fp16", r"has \['fp32', 'int8'.*wanted fp32 and fp16"),
        (f"{GATE}.precision", 16, "precision is 16"),
        (f"{GATE}.int8_sha256", MISSING, "int8_sha256 is None, wanted it"),
        (f"{GATE}.balanced_accuracy.int8", MISSING, r"gates\[0\]\.balanced_accuracy has"),
        (f"{GATE}.balanced_accuracy.cheaper", 0.5, "balanced_accuracy has"),
        (f"{GATE}.surprise", 1, r"unknown fields: variants\[1\]\.gates\[0\]\.surprise"),
        (f"{GATE}.balanced_accuracy.fp32", 62, r"balanced_accuracy\.fp32 is 62"),
        (f"{GATE}.melanoma_sensitivity.interval", [1, -1], r"interval is \[1\.0, -1\.0\], wanted"),
        (f"{GATE}.melanoma_sensitivity.interval", [1], r"interval is \[1\], wanted"),
        ("sentinels.pictures.0.file", "two.jpg", r"'two\.jpg' has no sha256"),
        ("sentinels.pictures.0.probabilities", [0.5, 0.5], r"\[0\.5, 0\.5\], wanted array"),
        ("sentinels.pictures.0.probabilities", [0.1] * 7, r"in fp32 has .* that sum to 0\.7"),
        ("sentinels.pictures.0.probabilities", MISSING, "probabilities"),
        ("sentinels.tolerance", 0, "tolerance is 0, wanted float > 0"),
        ("sentinels.tolerance", "tight", "tolerance is 'tight'"),
        ("sentinels.tolerance", 0.1, r"tolerance_elsewhere 0\.002, wanted its tolerance 0\.1"),
        ("sentinels.surprise", 1, r"sentinels\.surprise"),
        ("sentinels.measured_on", {"machine": "mine"}, r"measured_on\.machine"),
        (f"{SECOND}.precision", "fp32", "fp32 is not the only one"),
        (f"{SECOND}.tolerance_elsewhere", 1.5, r"tolerance_elsewhere is 1\.5"),
        (f"{SECOND}.probabilities", [], "in int8 is of 0 images"),
        (f"{SECOND}.probabilities", [[0.5, 0.5]], r"\[0\.5, 0\.5\], wanted array"),
        (f"{SECOND}.surprise", 1, r"also\[0\]\.surprise"),
    ],
)
def test_what_cannot_be_is_refused(folder: Path, place: str, value: object, said: str) -> None:
    if place.startswith("data."):
        change(folder, "data", {})
    change(folder, place, value)
    with pytest.raises(EngineError, match=rf"engine\.json cannot be used: .*{said}"):
        read_manifest(folder)


def test_gates_of_every_precision_are_written_and_read_back(folder: Path) -> None:
    manifest = read_manifest(folder)
    gates = [gate_of(manifest, "x86_64 avx2", 4, one) for one in ("bf16", "int8", "int8-bf16")]
    put_gate(folder, *gates)
    found = read_manifest(folder)
    assert found.variant("fp32").gates == (gates[0],)
    assert found.variant("int8").gates == tuple(gates[1:])
    written = json.loads((folder / "engine.json").read_text())["variants"]
    (bf16,), (int8, int8_bf16) = (variant["gates"] for variant in written)
    # An INT8 gate is written as before there were others.
    assert "precision" not in int8
    assert (bf16["precision"], int8_bf16["precision"]) == ("bf16", "int8-bf16")
    assert bf16["balanced_accuracy"].keys() == {"fp32", "bf16", "interval", "change"}
    assert "int8_sha256" not in bf16
    assert bf16["limits"]["label_flip_share"] == 0.005


def test_bf16_may_change_fewer_labels_than_int8(folder: Path) -> None:
    manifest = read_manifest(folder)
    passed = [gate_of(manifest, "x86_64 avx2", flips, "bf16").passed for flips in (5, 6)]
    assert passed == [True, False]
    passed = [gate_of(manifest, "x86_64 avx2", flips, "int8-bf16").passed for flips in (20, 21)]
    assert passed == [True, False]


def test_a_gate_at_another_graph_than_its_own_is_refused(folder: Path) -> None:
    put_gate(folder, gate_of(read_manifest(folder), "x86_64 avx2", 4, "bf16"))
    whole = json.loads((folder / "engine.json").read_text())
    change(folder, "variants.1.gates", whole["variants"][0]["gates"])
    with pytest.raises(EngineError, match="the int8 graph has a gate of bf16"):
        read_manifest(folder)


def test_two_gates_or_records_of_one_machine_are_refused(folder: Path) -> None:
    whole = json.loads((folder / "engine.json").read_text())
    change(folder, "sentinels.also", whole["sentinels"]["also"] * 2)
    with pytest.raises(EngineError, match="int8 is not the only one"):
        read_manifest(folder)
    change(folder, "variants.1.gates", whole["variants"][1]["gates"] * 2)
    with pytest.raises(EngineError, match="two gates of one machine"):
        read_manifest(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "sub/card.md", "..", "engine.json"])
def test_a_file_outside_the_folder_is_refused(folder: Path, name: str) -> None:
    files = json.loads((folder / "engine.json").read_text())["files"]
    change(folder, "files", files | {name: files["card.md"]})
    with pytest.raises(EngineError, match="not the name of a file in its folder"):
        read_manifest(folder)


def test_the_file_cannot_claim_that_a_gate_passed(folder: Path) -> None:
    loose = {"label_flip_share": 1.0, "balanced_accuracy_loss": 99, "melanoma_sensitivity_loss": 99}
    for name, value in {"label_flips": 21, "label_flip_share": 0.0, "limits": loose}.items():
        change(folder, f"{GATE}.{name}", value)
    change(folder, f"{GATE}.passed", True)
    gate = read_manifest(folder).variant("int8").gates[0]
    assert gate.label_flip_share == 0.021
    assert gate.limits.label_flip_share == 0.02
    assert not gate.passed
    change(folder, f"{GATE}.label_flips", 20)
    change(folder, f"{GATE}.passed", False)
    assert read_manifest(folder).variant("int8").gates[0].passed


@pytest.mark.parametrize(
    ("values", "passed"),
    [
        ({"label_flips": 20}, True),
        ({"label_flips": 21}, False),
        ({"balanced_accuracy": Change(0.62, 0.615, (-1, 1))}, True),
        ({"balanced_accuracy": Change(0.62, 0.6149, (-1, 1))}, False),
        # One melanoma of a hundred is a point and no more, whatever floats make of it.
        ({"melanoma_sensitivity": Change(0.42, 0.41, (-3, 0))}, True),
        ({"melanoma_sensitivity": Change(0.42, 0.409, (-3, 0))}, False),
        ({"melanoma_sensitivity": Change(0.42, 0.60, (0, 30))}, True),
    ],
)
def test_a_gate_passes_up_to_its_limits(folder: Path, values: dict[str, Any], passed: bool) -> None:
    gate = gate_of(read_manifest(folder), "x86_64 avx2")
    assert replace(gate, **values).passed is passed


@pytest.mark.parametrize("raw", [{}, {"pictures": []}])
def test_sentinels_that_lack_a_part_are_refused(folder: Path, raw: dict[str, object]) -> None:
    change(folder, "sentinels", raw)
    with pytest.raises(EngineError, match=r"it has no .*sentinels\.measured_on"):
        read_manifest(folder)


@pytest.mark.parametrize("trained_on", [None, 3, "train", [["train"]]])
def test_parts_that_are_no_list_of_names_are_refused(folder: Path, trained_on: object) -> None:
    change(folder, "data", {"trained_on": trained_on})
    with pytest.raises(EngineError, match="it was trained on"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"kind": "own"}, r"kind: Invalid enum value 'own'"),
        ({"name": "a|b"}, r"name is 'a\|b'"),
        ({"name": "a\nb"}, "name is"),
        ({"name": "a\n"}, "name is"),
        ({"name": " "}, "name is"),
        ({"name": "a\u202eb"}, "name is"),
        ({"scored": {"backend": "a | b", "precision": "fp32"}}, r"scored\.backend is"),
        ({"images": 4}, "images is 4, wanted the sum of its classes"),
        ({"classes": {"scc": 3}}, r"classes are \['scc'\], wanted some of"),
        ({"lesions": 4}, "lesions is 4"),
        ({"figures": {"f2": {"value": 0.1}}}, r"figures: Invalid enum value 'f2'"),
        ({"figures": {"ece": {"value": 1.1}}}, r"ece\.value is 1\.1"),
        ({"figures": {"ece": {"value": 0.3, "interval": [0.0, 0.2]}}}, "within its interval"),
        ({"truth_sha256": "2"}, "truth_sha256 is '2'"),
        ({"scored": None}, "scored is missing"),
        ({"surprise": 1}, r"unknown fields: other_images\.figures\[0\]\.surprise"),
    ],
)
def test_figures_that_cannot_be_are_refused(
    folder: Path, values: dict[str, object], said: str
) -> None:
    card = json.loads((folder / "engine.json").read_text())["files"]["card.md"]
    change(folder, "other_images", {"card": card, "figures": [FIGURES]})
    assert read_manifest(folder).other_images is not None
    change(folder, "other_images", {"card": card, "figures": [FIGURES | values]})
    with pytest.raises(EngineError, match=rf"engine\.json cannot be used: .*{said}"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "other_images is null"),
        ({"figures": [FIGURES, FIGURES]}, "two figures of one name"),
        ({"figures": [FIGURES]}, r"other_images\.card is None"),
    ],
)
def test_figures_have_one_name_each_and_the_card_before_them(
    folder: Path, value: object, said: str
) -> None:
    change(folder, "other_images", value)
    with pytest.raises(EngineError, match=rf"engine\.json cannot be used: .*{said}"):
        read_manifest(folder)
