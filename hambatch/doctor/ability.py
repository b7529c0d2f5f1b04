"""What can be done here, each with the reason: the main job first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hambatch.doctor.catalogue import (
    DALI,
    FOR_GPU,
    FOR_SCORING,
    FOR_TABLES,
    FOR_TRAINING,
    GPU,
    SCORING,
    TRAINING,
    Package,
)
from hambatch.doctor.finding import MISSING, Finding


@dataclass(frozen=True)
class Ability:
    """``what`` works or not, and ``why`` in a few words."""

    what: str
    works: bool
    why: str

    def to_json(self) -> dict[str, Any]:
        """Give every field."""
        return asdict(self)


def abilities(findings: Sequence[Finding]) -> Iterator[Ability]:
    """Say what follows from the findings."""
    there = {finding.part: finding for finding in findings}
    dali = there[DALI.module]
    # Where it is installed, it is used; only where it is not, Pillow decodes.
    decoder = [] if dali.state == MISSING else [DALI.module]
    for_scoring = [*_parts(FOR_SCORING), *decoder, "engine"]
    yield _needs(SCORING, for_scoring, there, there["engine"].about)
    yield Ability("fast decoding", dali.usable, _decoding(dali))
    # The GPU runs what OpenVINO would; only DALI decodes there.
    there_too = [part for part in _parts(FOR_SCORING) if part != "openvino"]
    for_gpu = ["driver", *there_too, DALI.module, "engine", *_parts(FOR_GPU)]
    yield _needs(GPU, for_gpu, there, "all that it needs is there; no plan was tried")
    for_training = ["pandas", "matplotlib.figure", *_parts(FOR_TRAINING)]
    yield _needs(TRAINING, for_training, there, "on the CPU")
    for package in FOR_TABLES:
        yield _needs(package.needed_for, [package.module], there, f"by {package.distributions[0]}")


def _parts(packages: Sequence[Package]) -> list[str]:
    """The parts that the findings of these packages are about."""
    return [package.module for package in packages]


def _needs(what: str, parts: Sequence[str], there: Mapping[str, Finding], why: str) -> Ability:
    lacking = [there[part] for part in parts if not there[part].usable]
    told = ", ".join(f"{finding.name} is {finding.state}" for finding in lacking)
    return Ability(what, not lacking, told or why)


def _decoding(dali: Finding) -> str:
    if dali.usable:
        return f"by {dali.name}"
    if dali.state == MISSING:
        return f"{dali.name} is missing; Pillow decodes, more slowly"
    return f"{dali.name} is broken; once it is uninstalled Pillow decodes, more slowly"
