"""`hambatch doctor`: look at every part of this machine, and say what works and what is missing."""

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
    FOR_FORMATS,
    FOR_GPU,
    FOR_SCORING,
    FOR_TABLES,
    FOR_TRAINING,
    GPU,
    MISSING,
    SCORING,
    TRAINING,
    Finding,
    examine_dali,
    examine_engine,
    examine_gpus,
    examine_packages,
)
from hambatch.engines.backend_names import BF16, INT8_BF16
from hambatch.system.cpu import (
    available_cores,
    instruction_set,
    int8_kernels,
    kernels_of,
    multiplies_bfloat16,
    named_cores,
)

AT_ONCE = 2
"""Processes; TensorFlow takes about as long as all others together."""

COLUMNS = 100
"""Width of the text."""

CAUSES: dict[str, dict[str, tuple[str, ...]]] = {
    "engine": {
        "numpy": (BROKEN, MISSING),
        "openvino": (BROKEN, MISSING),
        "msgspec": (BROKEN, MISSING),
    },
    # DALI starts the driver even for work on the CPU, and does without where there is none.
    DALI.module: {"numpy": (BROKEN, MISSING), "PIL.Image": (BROKEN, MISSING), "driver": (BROKEN,)},
}
"""For each part, what it is tried with, and in which states that breaks it."""

Look = Future[list[Finding]]
Show = Callable[[Iterable[Look], int], Iterator[Look]]


@dataclass(frozen=True)
class Ability:
    """``what`` works or not, and ``why`` in a few words."""

    what: str
    works: bool
    why: str


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
        """Give everything, and the machine that it was found on."""
        return {**machine(), "can_score": self.can_score, **asdict(self)}


def machine() -> dict[str, Any]:
    """Name what the findings depend on."""
    return {
        "hambatch": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": available_cores(),
        "instruction_set": instruction_set(),
        "int8_kernels": int8_kernels(),
        "bf16_kernels": kernels_of(BF16) if multiplies_bfloat16() else "",
    }


def examine(show: Show) -> Examination:
    """Look at everything; nothing that is broken stops it.

    Parameters
    ----------
    show
        Passes the looks through as they are done, and shows how many of how many.
    """
    # The longest first.
    looks: dict[str, Callable[[], list[Finding]]] = {
        "training": lambda: examine_packages(FOR_TRAINING),
        "gpus": examine_gpus,
        "scoring": lambda: examine_packages(FOR_SCORING),
        "dali": lambda: [examine_dali()],
        "engine": lambda: [examine_engine()],
        "formats": lambda: examine_packages(FOR_FORMATS),
        "tables": lambda: examine_packages(FOR_TABLES),
        "gpu packages": lambda: examine_packages(FOR_GPU),
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        begun = {name: pool.submit(look) for name, look in looks.items()}
        try:
            for _ in show(as_completed(begun.values()), len(begun)):
                pass
        finally:
            for future in begun.values():
                future.cancel()
    in_order = (
        *("scoring", "dali", "engine", "formats", "tables", "training", "gpus"),
        "gpu packages",
    )
    findings = tuple(blame([finding for name in in_order for finding in begun[name].result()]))
    return Examination(findings, tuple(abilities(findings)))


def blame(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Point from what is broken to what has to be repaired first."""
    by_part = {finding.part: finding for finding in findings}
    for finding in findings:
        causes = CAUSES.get(finding.part, {}) if finding.state == BROKEN else {}
        found = (by_part[part] for part, states in causes.items() if by_part[part].state in states)
        if cause := next(found, None):
            why = f"{finding.why}; {cause.name} is {cause.state}, repair that first"
            yield replace(finding, why=why, next=cause.next)
        else:
            yield finding


def abilities(findings: Sequence[Finding]) -> Iterator[Ability]:
    """Say what follows from the findings."""
    by_part = {finding.part: finding for finding in findings}
    dali = by_part[DALI.module]
    modules = [package.module for package in FOR_SCORING]
    # Where it is installed, it is used; only where it is not, Pillow decodes.
    decoder = [] if dali.state == MISSING else [DALI.module]
    yield _needs(SCORING, [*modules, *decoder, "engine"], by_part, by_part["engine"].about)
    yield Ability("fast decoding", dali.usable, _decoding(dali))
    # The GPU runs what OpenVINO would; only DALI decodes there.
    without = [module for module in modules if module != "openvino"]
    for_gpu = ["driver", *without, DALI.module, "engine", *(p.module for p in FOR_GPU)]
    yield _needs(GPU, for_gpu, by_part, "all that it needs is there; no plan was tried")
    for_training = ["pandas", "matplotlib.figure", *(package.module for package in FOR_TRAINING)]
    yield _needs(TRAINING, for_training, by_part, "on the CPU")
    for purpose, packages in groupby(
        (*FOR_FORMATS, *FOR_TABLES), lambda package: package.needed_for
    ):
        found = [by_part[package.module] for package in packages]
        why = f"by {', '.join(finding.name for finding in found)}"
        yield _needs(purpose, [finding.part for finding in found], by_part, why)


def _needs(what: str, parts: Sequence[str], by_part: Mapping[str, Finding], why: str) -> Ability:
    unusable = [by_part[part] for part in parts if not by_part[part].usable]
    lacks = ", ".join(f"{finding.name} is {finding.state}" for finding in unusable)
    return Ability(what, not unusable, lacks or why)


def _decoding(dali: Finding) -> str:
    if dali.usable:
        return f"by {dali.name}"
    if dali.state == MISSING:
        return f"{dali.name} is missing; Pillow decodes, more slowly"
    return f"{dali.name} is broken; once it is uninstalled Pillow decodes, more slowly"


def as_text(found: Examination) -> str:
    """One entry a part, with what to type where something is wrong; then what works."""
    here, kernels = machine(), kernels_of(INT8_BF16)
    head = (
        f"hambatch {here['hambatch']}, Python {here['python']}, {here['system']}, "
        f"{named_cores()} ({kernels.partition(' ')[2] or kernels})"
    )
    return "\n".join([head, *_parts(found.findings), *_abilities(found.abilities)])


def _parts(findings: Sequence[Finding]) -> Iterator[str]:
    width = max(len(finding.name) for finding in findings)
    for purpose, of_it in groupby(findings, lambda finding: finding.needed_for):
        yield f"\nfor {purpose}"
        for finding in of_it:
            text = "; ".join(filter(None, (finding.version, finding.about, finding.why)))
            yield _entry(f"  {finding.name:<{width}}  {finding.state:<7}  ", text)
            if finding.next:
                # Never folded, so that it can be copied.
                yield f"  {'':<{width}}  Next: {finding.next}"


def _abilities(abilities: Sequence[Ability]) -> Iterator[str]:
    yield "\nwhat works here"
    width = max(len(ability.what) for ability in abilities)
    for ability in abilities:
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
