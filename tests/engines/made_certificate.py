"""A made-up certificate."""

from dataclasses import replace
from typing import Any

from hambatch.engines.certificates import (
    Benign,
    Certificate,
    CertifiedOn,
    Found,
    NetBenefit,
    Positive,
    Promise,
)
from hambatch.engines.measurements import Estimate, Scored

GRAPH = "3" * 64

CERTIFICATE = Certificate(
    Promise("malignant", 0.95, 0.95, 0.0312, 0.0001),
    Found(
        Positive(130, 2, 161, Estimate(128 / 130, (0.945, 0.999)), 0.952, 1),
        Benign(200, 17, 263, 18, Estimate(0.915, (0.867, 0.950))),
        0.417,
        NetBenefit(0.367, 0.148),
    ),
    CertifiedOn("certify", "1" * 64, "2" * 64, "certify"),
    Scored("openvino", "int8", 1, 1.5, GRAPH),
    "4" * 64,
    "clopper-pearson-by-lesion.1",
    "0.1.0",
    "2026-11-30T12:00:00+00:00",
)


def certificate_of(target: str = "malignant", **values: Any) -> Certificate:
    """Change the target, and parts of the whole."""
    promise: Any = replace(CERTIFICATE.promise, target=target)  # type: ignore[arg-type]
    return replace(CERTIFICATE, **{"promise": promise, **values})
