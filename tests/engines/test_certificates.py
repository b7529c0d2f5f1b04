"""A certificate in `engine.json` promises no more than its counts prove."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import binom

from hambatch.engines.card_sections import CERTIFICATES, certificates_section, with_sections
from hambatch.engines.certificates import chance_of_so_few
from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import EngineFile, Manifest, Variant, identity_of, read_manifest
from hambatch.errors import EngineError
from tests.engine_json import rewrite
from tests.engines.fitted import calibration_of
from tests.engines.made_certificate import CERTIFICATE, GRAPH, certificate_of

HOLDS = Manifest(
    "tiny",
    "1",
    {"model.int8.onnx": EngineFile(GRAPH, 1)},
    (Variant("int8", "model.int8.onnx"),),
    calibration=calibration_of(1.5),
    certificates=(CERTIFICATE, certificate_of("melanoma")),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(b"a graph")
    variants = (Variant("fp32", "model.onnx"),)
    write_manifest(tmp_path, Manifest("tiny", "1", {}, variants, certificates=HOLDS.certificates))
    return tmp_path


def test_what_is_written_is_read_back_and_is_no_part_of_the_identity(folder: Path) -> None:
    manifest = read_manifest(folder)
    assert manifest.certificates == HOLDS.certificates
    certified = identity_of(folder)
    write_manifest(folder, replace(manifest, certificates=()))
    assert "certificates" not in json.loads((folder / "engine.json").read_text())
    assert identity_of(folder) == certified


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("found.positive.missed", 3, "3 of 130 lesions missed do not prove a sensitivity of 0.95"),
        ("found.positive.lesions", 123, "2 of 123 lesions missed do not prove"),
        ("promise.sensitivity", 0.96, "do not prove a sensitivity of 0.96"),
        ("promise.sensitivity", 1.0, "sensitivity is 1.0"),
        ("promise.confidence", 0.4, "confidence is 0.4"),
        ("promise.threshold", 0.0, "threshold is 0.0"),
        ("promise.threshold", 1.0, "threshold is 1.0"),
        ("promise.target", "nevus", "target: Invalid enum value 'nevus'"),
        ("found.positive.images", 129, "lesions is 130, wanted at most its images, 129"),
        ("found.benign.referred", 201, "referred is 201, wanted at most its lesions, 200"),
        ("found.benign.images_referred", 264, "images_referred is 264"),
        ("found.benign.specificity", {"value": 0.5, "interval": [0.8, 0.9]}, "within its interval"),
        ("images.origin", "test", "origin: Invalid enum value 'test'"),
        ("images.map", {"scc": "scc"}, r"map has \['scc'\], wanted some of"),
        ("scored.graph_sha256", None, "graph_sha256 is missing"),
        ("date", "yesterday", "date is 'yesterday'"),
        ("surprise", 1, r"unknown fields: certificates\[0\]\.surprise"),
    ],
)
def test_what_is_no_certificate_is_refused(
    folder: Path, place: str, value: object, said: str
) -> None:
    whole = json.loads((folder / "engine.json").read_text())
    *parents, last = place.split(".")
    part: Any = whole["certificates"][0]
    for step in parents:
        part = part[step]
    part[last] = value
    rewrite(folder / "engine.json", whole)
    with pytest.raises(EngineError, match=rf"engine\.json cannot be used: .*{said}"):
        read_manifest(folder)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "certificates"),
        ([CERTIFICATE.to_json()] * 2, "two certificates of one target and precision"),
    ],
)
def test_there_is_one_for_a_target_and_a_precision(folder: Path, value: object, said: str) -> None:
    whole = json.loads((folder / "engine.json").read_text())
    rewrite(folder / "engine.json", whole | {"certificates": value})
    with pytest.raises(EngineError, match=rf"engine\.json cannot be used: .*{said}"):
        read_manifest(folder)


def test_the_chance_of_so_few_misses_is_the_binomial_one() -> None:
    for missed, lesions, sensitivity in (
        (0, 59, 0.95),
        (2, 124, 0.95),
        (40, 3000, 0.98),
        (7, 7, 0.5),
    ):
        theirs = binom.cdf(missed, lesions, 1 - sensitivity)
        assert chance_of_so_few(missed, lesions, sensitivity) == pytest.approx(theirs, rel=1e-10)


def test_a_card_shows_certificates_before_its_limits() -> None:
    card = "# tiny 1\n\nA network.\n\n## Limits\n\n- One.\n"
    once = with_sections(card, HOLDS)
    assert once.index(CERTIFICATES) < once.index("## Limits")
    assert (
        "| malignant | openvino-int8 | 0.0312 | 0.95 at 0.95 confidence | 2 of 130 missed" in once
    )
    assert "| melanoma | openvino-int8 |" in once
    assert "holds no more" not in once
    assert with_sections(once, HOLDS) == once
    bare = replace(HOLDS, certificates=(), calibration=None)
    assert with_sections(once, bare) == card


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (replace(HOLDS, calibration=None), "the engine was calibrated since"),
        (replace(HOLDS, files={"model.int8.onnx": EngineFile("5" * 64, 1)}), "its graph was repl"),
    ],
)
def test_a_card_says_which_hold_no_more(manifest: Manifest, why: str) -> None:
    section = certificates_section(manifest)
    assert f"- malignant, openvino-int8: holds no more, {why}" in section
    assert section.count("holds no more") == 2
