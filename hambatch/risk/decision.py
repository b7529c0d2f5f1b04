"""What a row asks of a person: ``risk`` and ``risk_reason``."""

from collections.abc import Sequence
from dataclasses import replace

from hambatch.engines.backend_names import parse_backend
from hambatch.engines.certificates import MALIGNANT_LESIONS, MELANOMA
from hambatch.engines.classes import CLASSES, REFER, REVIEW, ROUTINE
from hambatch.engines.referral import Rule, Rules, column_of
from hambatch.types import Row

NOT_SCORED, UNLIKE = "not scored", "unlike the training images"

_MELANOMA = CLASSES.index("mel")


def decided(row: Row, rules: Rules) -> Row:
    """Give the row with its risk; ``risk_reason`` lists all reasons, separated by semicolons.

    A score at a certified threshold counts before poor quality: both are seen by a person, and
    that one first. Only a certificate for malignant lesions makes a row ``routine``, and only
    if its image was checked; else a row that needs no review has no risk.
    """
    if row.status != "ok":
        return replace(row, risk=REVIEW, risk_reason=NOT_SCORED)
    own = rules.get(backend_and_precision(row.backend), ())
    referred, review = _referred(row, own), why_of(row)
    certified = any(rule.target == MALIGNANT_LESIONS for rule in own)
    routine = ROUTINE if certified and row.ood is not None else ""
    risk = (referred and REFER) or (review and REVIEW) or routine
    return replace(row, risk=risk, risk_reason="; ".join([*referred, *review]))


def why_of(row: Row) -> list[str]:
    """Say why the image of a scored row is for review; nothing: it is not."""
    unlike = [UNLIKE] if row.ood is not None and row.ood > 1 else []
    return [*unlike, *row.quality.split()]


def backend_and_precision(backend: str) -> str:
    """Leave out the size of a GPU's requests: no certificate depends on it."""
    found = parse_backend(backend)
    return f"{found.library}-{found.precision}"


def _referred(row: Row, rules: Sequence[Rule]) -> list[str]:
    found = []
    for rule in rules:
        score = row.probabilities[_MELANOMA] if rule.target == MELANOMA else row.malignant
        if rule.refers(score):
            found.append(f"{column_of(rule.target)} is {rule.threshold:.4f} or more")
    return found
