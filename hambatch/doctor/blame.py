"""Whose fault it is: what is broken because of something else is mended there."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hambatch.doctor.catalogue import DALI
from hambatch.doctor.finding import BROKEN, MISSING, Finding

CAUSES: dict[str, dict[str, tuple[str, ...]]] = {
    "engine": {"numpy": (BROKEN, MISSING), "openvino": (BROKEN, MISSING)},
    # DALI starts the driver even for work on the CPU, and does without where there is none.
    DALI.module: {"numpy": (BROKEN, MISSING), "PIL.Image": (BROKEN, MISSING), "driver": (BROKEN,)},
}
"""A part to what it is tried with, and in which states that breaks it."""


def blame(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Point from what is broken to what has to be mended first."""
    there = {finding.part: finding for finding in findings}
    for finding in findings:
        causes = CAUSES.get(finding.part, {}) if finding.state == BROKEN else {}
        found = [there[part] for part, states in causes.items() if there[part].state in states]
        yield _because_of(finding, found[0]) if found else finding


def _because_of(finding: Finding, cause: Finding) -> Finding:
    why = f"{finding.why}; {cause.name} is {cause.state}, mend that first"
    return replace(finding, why=why, next=cause.next)
