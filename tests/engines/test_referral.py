"""An image is referred by whole millionths: no float decides at the threshold."""

from dataclasses import replace

import pytest

from hambatch.engines.classes import CLASSES
from hambatch.engines.manifest import EngineFile, Manifest, Variant
from hambatch.engines.referral import Rule, classes_of, column_of, holds, rules_in_force
from tests.engines.fitted import calibration_of
from tests.engines.made_certificate import CERTIFICATE, GRAPH, certificate_of

CERTIFIED = Manifest(
    "tiny",
    "1",
    {"model.int8.onnx": EngineFile(GRAPH, 1), "model.onnx": EngineFile("5" * 64, 1)},
    (Variant("fp32", "model.onnx"), Variant("int8", "model.int8.onnx")),
    calibration=calibration_of(1.5),
    certificates=(certificate_of("melanoma"), CERTIFICATE),
)


def test_a_score_at_the_threshold_is_referred_and_one_below_is_not() -> None:
    for step in range(1, 10_000):
        threshold = step / 10_000
        rule, score = Rule("malignant", threshold), round(threshold, 6)
        assert rule.refers(score)
        assert not rule.refers(round(score - 0.000001, 6))


def test_a_target_has_the_column_that_a_table_shows() -> None:
    assert (column_of("malignant"), column_of("melanoma")) == ("p_malignant", "p_mel")
    assert classes_of("malignant") == ("akiec", "bcc", "mel")
    assert set(classes_of("melanoma")) <= set(CLASSES)


def test_the_rules_in_force_are_those_of_this_temperature_and_number_of_views() -> None:
    wanted = (Rule("malignant", 0.0312), Rule("melanoma", 0.0312))
    assert rules_in_force(CERTIFIED, 1, 1.5) == {"openvino-int8": wanted}
    assert rules_in_force(CERTIFIED, 2, 1.5) == {}
    assert rules_in_force(CERTIFIED, 1, None) == {}


@pytest.mark.parametrize(
    "changed",
    [
        replace(CERTIFIED, calibration=calibration_of(1.2)),
        replace(CERTIFIED, calibration=None),
        replace(CERTIFIED, files={**CERTIFIED.files, "model.int8.onnx": EngineFile("6" * 64, 1)}),
        replace(CERTIFIED, variants=CERTIFIED.variants[:1]),
    ],
)
def test_a_certificate_of_another_graph_or_calibration_is_not_in_force(changed: Manifest) -> None:
    assert holds(CERTIFICATE, CERTIFIED)
    assert not holds(CERTIFICATE, changed)
    assert rules_in_force(changed, 1, 1.5) == {}
