"""What a row asks of a person: ``risk`` and ``risk_reason``."""

from dataclasses import replace

from hambatch.types import Row

REVIEW = "review"
"""A person has to look: no probability is relied on."""

NOT_SCORED, UNLIKE = "not scored", "unlike the training images"


def decided(row: Row) -> Row:
    """Give the row with its risk; ``risk_reason`` lists all reasons, separated by semicolons.

    A row that failed, whose image is unlike the training images, or whose quality is poor, is for
    review. Any other has no risk: no threshold is certified.
    """
    reasons = [NOT_SCORED] if row.status != "ok" else why_of(row)
    return replace(row, risk=REVIEW if reasons else "", risk_reason="; ".join(reasons))


def why_of(row: Row) -> list[str]:
    """Say why the image of a scored row is for review; nothing: it is not."""
    unlike = [UNLIKE] if row.ood is not None and row.ood > 1 else []
    return [*unlike, *row.quality.split()]
