"""An examination in words."""

import textwrap
from collections.abc import Iterator
from itertools import groupby

from hambatch.doctor.examine import Examination, machine
from hambatch.doctor.finding import Finding

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
