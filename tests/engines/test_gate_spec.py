"""A gate in `engine.json` is judged by its numbers, never by what the file says of them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hambatch.engines.gates import Change
from hambatch.engines.manifest import read_manifest
from hambatch.errors import EngineError
from tests.engine_json import rewrite
from tests.engines.int8_engine import gate_of, put_gate, with_int8


@pytest.fixture
def folder(tiny_engine: Path, tmp_path: Path) -> Path:
    made = with_int8(tiny_engine, tmp_path / "tiny")
    put_gate(made, gate_of(read_manifest(made), "x86_64 avx2"))
    return made


def change(folder: Path, *where: str, **values: object) -> None:
    path = folder / "engine.json"
    whole: dict[str, Any] = json.loads(path.read_text())
    part = whole["variants"][1]["gates"][0]
    for name in where:
        part = part[name]
    part.update(values)
    rewrite(path, whole)


def test_what_is_written_is_read_back(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest.variant("int8").gates == (gate_of(manifest, "x86_64 avx2"),)
    assert manifest.variant("fp32").gates == ()


def test_an_engine_made_before_there_were_gates_has_none(folder: Path) -> None:
    path = folder / "engine.json"
    whole = json.loads(path.read_text())
    for variant in whole["variants"]:
        del variant["gates"]
    rewrite(path, whole)
    assert read_manifest(folder).variant("int8").gates == ()


def test_the_file_cannot_claim_that_a_gate_passed(folder: Path) -> None:
    loose = {"label_flip_share": 1.0, "balanced_accuracy_loss": 99, "melanoma_sensitivity_loss": 99}
    change(folder, label_flips=21, label_flip_share=0.0, passed=True, limits=loose)
    gate = read_manifest(folder).variant("int8").gates[0]
    assert gate.label_flip_share == 0.021
    assert gate.limits.label_flip_share == 0.02
    assert not gate.passed
    change(folder, label_flips=20, passed=False)
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
def test_it_passes_up_to_its_limits(folder: Path, values: dict[str, Any], passed: bool) -> None:
    gate = gate_of(read_manifest(folder), "x86_64 avx2")
    assert replace(gate, **values).passed is passed


@pytest.mark.parametrize(
    ("where", "values", "said"),
    [
        ((), {"images": 0}, "images is 0"),
        ((), {"images": 10.5}, "images is 10.5"),
        ((), {"label_flips": -1}, "label_flips is -1"),
        ((), {"label_flips": 1001}, "label_flips is 1001"),
        ((), {"label_flips": True}, "label_flips is True"),
        ((), {"lesions": 2000}, "lesions is 2000"),
        ((), {"backend": ""}, "backend is ''"),
        ((), {"int8_sha256": None}, "int8_sha256 is None"),
        ((), {"surprise": 1}, "surprise"),
        (("balanced_accuracy",), {"int8": float("nan")}, "balanced_accuracy int8 is nan"),
        (("balanced_accuracy",), {"fp32": 62}, "balanced_accuracy fp32 is 62"),
        (("melanoma_sensitivity",), {"interval": [1, -1]}, "melanoma_sensitivity interval"),
        (("melanoma_sensitivity",), {"interval": [1]}, "not enough values"),
    ],
)
def test_numbers_that_cannot_be_are_refused(
    folder: Path, where: tuple[str, ...], values: dict[str, object], said: str
) -> None:
    change(folder, *where, **values)
    with pytest.raises(EngineError, match=said):
        read_manifest(folder)


def test_two_gates_of_one_machine_are_refused(folder: Path) -> None:
    path = folder / "engine.json"
    whole = json.loads(path.read_text())
    whole["variants"][1]["gates"] *= 2
    rewrite(path, whole)
    with pytest.raises(EngineError, match="two gates of one machine"):
        read_manifest(folder)
