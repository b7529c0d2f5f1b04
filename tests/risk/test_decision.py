"""A flagged or failed row is never silently routine."""

from typing import Any

import pytest

from hambatch.engines.referral import Rule
from hambatch.risk.decision import decided
from hambatch.types import Row

P = (0.05, 0.05, 0.1, 0.0, 0.2, 0.6, 0.0)

RULES = {"openvino-int8": (Rule("malignant", 0.3), Rule("melanoma", 0.25))}
MELANOMA_ALONE = {"openvino-int8": (Rule("melanoma", 0.25),)}


def row(malignant: float = 0.3, **values: Any) -> Row:
    values = {"ood": 0.5, **values}
    return Row("a.jpg", "ok", "nv", P, malignant, "dali-cpu", "openvino-int8", "ab" * 32, **values)


def risk(row: Row, rules: Any = RULES) -> tuple[str, str]:
    found = decided(row, rules)
    return found.risk, found.risk_reason


def test_the_score_decides_between_refer_and_routine() -> None:
    assert risk(row(0.3)) == ("refer", "p_malignant is 0.3000 or more")
    assert risk(row(0.299999)) == ("routine", "")


@pytest.mark.parametrize("rules", [RULES, MELANOMA_ALONE, {}])
@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        ({"ood": 1.001}, "unlike the training images"),
        ({"quality": "blurred dark"}, "blurred; dark"),
        ({"ood": 7.0, "quality": "border"}, "unlike the training images; border"),
    ],
)
def test_a_flagged_row_is_for_review_whatever_is_certified(
    flags: dict[str, Any], reason: str, rules: Any
) -> None:
    assert risk(row(0.1, **flags), rules) == ("review", reason)


def test_a_flagged_row_that_is_referred_keeps_both_reasons() -> None:
    said = "p_malignant is 0.3000 or more; dark"
    assert risk(row(0.8, quality="dark")) == ("refer", said)


def test_an_image_at_the_limit_is_not_flagged() -> None:
    assert risk(row(0.1, ood=1.0)) == ("routine", "")


def test_a_failed_row_is_for_review() -> None:
    failed = Row("b.jpg", "failed", reason="empty file")
    assert risk(failed) == risk(failed, {}) == ("review", "not scored")


def test_without_a_certificate_for_malignant_lesions_no_row_is_routine() -> None:
    assert risk(row(0.0), {}) == ("", "")
    assert risk(row(0.0), MELANOMA_ALONE) == ("", "")
    assert risk(row(0.0), {"openvino-fp32": RULES["openvino-int8"]}) == ("", "")


def test_an_image_that_was_not_checked_is_never_routine() -> None:
    assert risk(row(0.1, ood=None)) == ("", "")
    assert risk(row(0.3, ood=None)) == ("refer", "p_malignant is 0.3000 or more")


def test_requests_of_another_size_are_of_the_same_certificate() -> None:
    tensorrt = {"tensorrt-fp16": (Rule("malignant", 0.3),)}
    on_gpu = Row("a.jpg", "ok", "nv", P, 0.3, "dali-gpu", "tensorrt-fp16-b32", "ab" * 32)
    assert risk(on_gpu, tensorrt) == ("refer", "p_malignant is 0.3000 or more")
