"""Options of `hambatch certify`."""

from dataclasses import dataclass

from hambatch.engines.certificates import MALIGNANT_LESIONS, Target


@dataclass(frozen=True)
class CertifyOptions:
    """What is promised: a share of the lesions of ``target``, at a one-sided ``confidence``.

    ``estimate``: the figures are printed as an estimate, whichever images they are of.
    """

    target: Target = MALIGNANT_LESIONS
    sensitivity: float = 0.95
    confidence: float = 0.95
    estimate: bool = False
