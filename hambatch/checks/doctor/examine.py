"""An examination in words."""

import platform
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any

from hambatch import __version__
from hambatch.checks.doctor.findings import (
    BROKEN,
    DALI,
    FOR_GPU,
    FOR_SCORING,
    FOR_TABLES,
    FOR_TRAINING,
    GPU,
    MISSING,
    SCORING,
    TRAINING,
    Finding,
    Package,
    examine_dali,
    examine_engine,
    examine_gpus,
    examine_packages,
)
from hambatch.system.cpu import available_cores, instruction_set, int8_kernels


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
    for_scoring = [*_ability_parts(FOR_SCORING), *decoder, "engine"]
    yield _needs(SCORING, for_scoring, there, there["engine"].about)
    yield Ability("fast decoding", dali.usable, _decoding(dali))
    # The GPU runs what OpenVINO would; only DALI decodes there.
    there_too = [part for part in _ability_parts(FOR_SCORING) if part != "openvino"]
    for_gpu = ["driver", *there_too, DALI.module, "engine", *_ability_parts(FOR_GPU)]
    yield _needs(GPU, for_gpu, there, "all that it needs is there; no plan was tried")
    for_training = ["pandas", "matplotlib.figure", *_ability_parts(FOR_TRAINING)]
    yield _needs(TRAINING, for_training, there, "on the CPU")
    for package in FOR_TABLES:
        yield _needs(package.needed_for, [package.module], there, f"by {package.distributions[0]}")


def _ability_parts(packages: Sequence[Package]) -> list[str]:
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


AT_ONCE = 2
"""Processes; TensorFlow takes about as long as all others together."""


TOLD = ("scoring", "dali", "engine", "tables", "training", "gpus", "gpu packages")
"""Groups, as they are told; they are looked at beginning with the longest."""


Look = Future[list[Finding]]


Show = Callable[[Iterable[Look], int], Iterator[Look]]


@dataclass(frozen=True)
class Examination:
    """All findings, and what follows from them."""

    findings: tuple[Finding, ...]
    abilities: tuple[Ability, ...]

    @property
    def can_score(self) -> bool:
        """Whether the main job works here."""
        return self.abilities[0].works

    def to_json(self) -> dict[str, Any]:
        """Give everything, and what it was found on."""
        return {
            **machine(),
            "can_score": self.can_score,
            "findings": [finding.to_json() for finding in self.findings],
            "abilities": [ability.to_json() for ability in self.abilities],
        }


def machine() -> dict[str, Any]:
    """Name what the findings depend on."""
    return {
        "hambatch": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": available_cores(),
        "instruction_set": instruction_set(),
        "int8_kernels": int8_kernels(),
    }


def examine(show: Show) -> Examination:
    """Look at everything; nothing that is broken stops it.

    Parameters
    ----------
    show
        Passes the looks through as they are done, and shows how many of how many.
    """
    looks = _looks()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = {name: pool.submit(look) for name, look in looks.items()}
        try:
            for _ in show(as_completed(begun.values()), len(begun)):
                pass
        finally:
            for future in begun.values():
                future.cancel()
    found = {name: future.result() for name, future in begun.items()}
    findings = tuple(blame([finding for name in TOLD for finding in found[name]]))
    return Examination(findings, tuple(abilities(findings)))


def _looks() -> dict[str, Callable[[], list[Finding]]]:
    return {
        "training": lambda: examine_packages(FOR_TRAINING),
        "gpus": examine_gpus,
        "scoring": lambda: examine_packages(FOR_SCORING),
        "dali": lambda: [examine_dali()],
        "engine": lambda: [examine_engine()],
        "tables": lambda: examine_packages(FOR_TABLES),
        "gpu packages": lambda: examine_packages(FOR_GPU),
    }


COLUMNS = 100


def as_text(found: Examination) -> str:
    """One entry a part, with what to type where something is wrong; then what works."""
    return "\n".join([*_head(), *_parts(found), *_abilities(found)])


def _head() -> Iterator[str]:
    here = machine()
    yield (
        f"hambatch {here['hambatch']}, Python {here['python']}, {here['system']}, "
        f"{here['cores']} cores ({here['int8_kernels'].split()[-1]})"
    )


def _parts(found: Examination) -> Iterator[str]:
    width = max(len(finding.name) for finding in found.findings)
    for purpose, findings in groupby(found.findings, lambda finding: finding.needed_for):
        yield f"\nfor {purpose}"
        for finding in findings:
            yield from _part(finding, width)


def _part(finding: Finding, width: int) -> Iterator[str]:
    told = filter(None, (finding.version, finding.about, finding.why))
    yield _entry(f"  {finding.name:<{width}}  {finding.state:<7}  ", "; ".join(told))
    if finding.next:
        # Never folded: it is there to be copied.
        yield f"  {'':<{width}}  Next: {finding.next}"


def _abilities(found: Examination) -> Iterator[str]:
    yield "\nwhat works here"
    width = max(len(ability.what) for ability in found.abilities)
    for ability in found.abilities:
        works = "yes" if ability.works else "no"
        yield _entry(f"  {ability.what:<{width}}  {works:<3}  ", ability.why)


def _entry(start: str, text: str) -> str:
    """Put text behind its start, folded; no command or name is broken."""
    folded = textwrap.fill(
        text,
        COLUMNS,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return folded or start.rstrip()
