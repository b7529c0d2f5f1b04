"""One round of fuzzing: the same damaged files in two neighbourhoods, judged by the oracle."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hambatch.pipelines.header import is_suspect
from hambatch.scoring.options import ScoreOptions
from hambatch.sources.reading import Limits
from tests.faults.command import Command, rows_of_file
from tests.faults.corpus import scattered, write_folder
from tests.faults.mutations import Mutant
from tests.faults.oracle import Row, Verdict, changed, check_content, check_rows
from tests.faults.soft_engine import SecondOpinion

BATCH_SIZES = (32, 4, 8, 16)
"""Of the rounds in turn: a file that DALI refuses sends its whole batch the slow way."""

OTHER_BATCH_SIZES = (7, 1, 32, 3)
"""Of the same rounds' second runs."""


DEFAULTS = ScoreOptions()
LIMITS = Limits(int(DEFAULTS.max_megabytes * 1e6), int(DEFAULTS.max_megapixels * 1e6))


@dataclass(frozen=True)
class Ground:
    """What all rounds share: good files by name, their rows in a clean run, an engine."""

    goods: dict[str, bytes]
    clean: dict[str, Row]
    engine: Path
    place: Path


@dataclass
class Round:
    """What came of one round; ``kinds`` counts mutants by (kind, what became of them)."""

    verdict: Verdict
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    workers_lost: list[str] = field(default_factory=list)
    wrong: list[dict[str, object]] = field(default_factory=list)


def prepare_ground(files: Sequence[bytes], engine: Path, place: Path) -> Ground:
    """Score the good files alone; AssertionError if not all of them are good."""
    goods = {scattered(f"good {k}"): content for k, content in enumerate(files)}
    folder = write_folder(place / "goods", goods)
    command = Command(folder, place / "clean.csv", engine, place / "scratch")
    assert command.finish() == 0, command.said()
    clean = {row["image"]: row for row in rows_of_file(command.out)}
    return Ground(goods, clean, engine, place)


def play(ground: Ground, mutants: Sequence[Mutant], number: int) -> Round:
    """Score good files and mutants together, the mutants again among others, and compare."""
    place = ground.place / f"round{number}"
    first = {scattered(f"mutant {m.k}"): m for m in mutants}
    again = {scattered(f"again {m.k}"): name for name, m in first.items()}
    files = {**ground.goods, **{name: m.content for name, m in first.items()}}
    moved = {new: first[name].content for new, name in again.items()}
    run = _score(ground, place / "mixed", files, BATCH_SIZES[number % 4])
    second = _score(ground, place / "moved", moved, OTHER_BATCH_SIZES[number % 4])
    verdict = check_rows(files, run)
    rows = {row["image"]: row for row in run}
    verdict.misattributed += changed(rows, ground.clean)
    _add(verdict, check_rows(moved, second))
    verdict.unstable += changed(rows, {again[row["image"]]: row for row in second})
    _ask_second_opinion(verdict, ground, first, rows)
    return _told(place, verdict, first, rows)


def passes_byte_check(content: bytes) -> bool:
    """Tell whether a file goes to DALI in a batch, as one that looks good."""
    return not is_suspect(content, LIMITS)


def _score(ground: Ground, place: Path, files: dict[str, bytes], batch_size: int) -> list[Row]:
    folder = write_folder(place / "images", files)
    options = ("--batch-size", str(batch_size))
    command = Command(folder, place / "p.csv", ground.engine, place / "scratch", options)
    command.finish()
    return rows_of_file(command.out)


def _add(verdict: Verdict, more: Verdict) -> None:
    verdict.lost += more.lost
    verdict.duplicated += more.duplicated
    verdict.misattributed += more.misattributed
    verdict.disordered |= more.disordered


def _ask_second_opinion(
    verdict: Verdict, ground: Ground, mutants: dict[str, Mutant], rows: dict[str, Row]
) -> None:
    asked, opinions = SecondOpinion(ground.engine), {}
    families = {name: frozenset({k}) for k, name in enumerate(ground.goods)}
    families |= {name: frozenset({m.base, m.other}) for name, m in mutants.items()}
    contents = {**ground.goods, **{name: m.content for name, m in mutants.items()}}
    for name, content in contents.items():
        opinion = asked.of(content) if rows.get(name, {}).get("status") == "ok" else None
        if opinion is not None:
            opinions[name] = opinion
    check_content(verdict, rows, opinions, families)


def _told(place: Path, verdict: Verdict, mutants: dict[str, Mutant], rows: dict[str, Row]) -> Round:
    found = Round(verdict)
    differ = set(verdict.decoders_differ)
    for name, m in mutants.items():
        row = rows.get(name, {"status": "lost"})
        found.kinds[m.kind, "mutants"] += 1
        found.kinds[m.kind, row["status"]] += 1
        found.kinds[m.kind, "passed_byte_check"] += passes_byte_check(m.content)
        found.kinds[m.kind, "decoders_differ"] += name in differ
        if row["status"] == "ok":
            found.kinds[m.kind, row["decoder"]] += 1
        elif row["status"] == "failed":
            found.reasons[row["reason"]] += 1
    for what in ("lost", "duplicated", "misattributed", "unstable"):
        for name in getattr(verdict, what):
            found.wrong.append({"what": what, "image": name, **_origin(mutants.get(name))})
    for record in place.glob("*/p.csv.run.json"):
        found.workers_lost += json.loads(record.read_text())["timing"]["workers_lost"]
    return found


def _origin(made: Mutant | None) -> dict[str, object]:
    if made is None:
        return {}
    return {"k": made.k, "kind": made.kind, "base": made.base, "other": made.other}
