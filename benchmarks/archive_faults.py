"""Do damaged or hostile archives, or kills inside of archives, cost a row or give a wrong one?

Thousands of zips and tars of every kind are damaged byte by byte, or have headers that lie with
right checksums. They lie among good ones: hambatch's sources read them alone, and whole runs score
them in folders, twice each. Counted are undamaged members without a scored row, rows about other
bytes than those of the member of their name, members that are lost in silence, and files that are
written anywhere. Archives that lack one part, files that lack one inside archives, and runs that
are killed inside archives and resumed, follow::

    python benchmarks/archive_faults.py --archives 2000 --kills 50 --seed 0 --out result.json

With 0 of a fault, its part is left out. Exit code 1 if any count is not 0. Needs the checkout's
tests, and `pip install '.[test]'`.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from faults import summed_kills
from result import parser_of, publish

from tests.faults.archive_absences import archives_that_lack_a_part, files_that_lack_a_part
from tests.faults.archive_damage import FORMS, KINDS, Archive, damaged_archive, good_archive
from tests.faults.archive_kills import killed_in_archives
from tests.faults.archive_oracle import WRONG, Verdict, judge
from tests.faults.archive_rounds import Played, read_archives, score_archives
from tests.faults.soft_engine import write_soft_engine

A_ROUND = 200
GOODS = 22
"""Good archives in every round: two of every kind."""

BESIDE = ("crashes", "hangs", "outside", "unstable")
NAMED_AT_MOST = 100

Play = Callable[[Sequence[Archive], Path], Played]


def main() -> None:
    """Do it, write it down, and say with the exit code whether anything was wrong."""
    chosen = arguments()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hambatch-archives-") as place:
        found = measured(Path(place), chosen)
    result = {
        "question": "what do damaged and hostile archives, and kills inside of archives, cost?",
        "seed": chosen.seed,
        "kinds_of_archives": FORMS,
        "kinds_of_damage": len({(family, damage.__name__) for family, _, damage in KINDS}),
        **found,
        "seconds": round(time.monotonic() - started, 1),
    }
    wrong = {
        f"{part}_{name}": count for part, of in found.items() for name, count in of["wrong"].items()
    }
    publish(chosen.out, result, wrong)
    sys.exit(any(wrong.values()))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--archives", type=int, default=2000, help="damaged archives")
    parser.add_argument("--absences", type=int, default=500, help="files that lack a part")
    parser.add_argument("--rounds", type=int, default=8, help="archives that lack each part")
    parser.add_argument("--kills", type=int, default=50, help="while scoring; a fifth more beside")
    parser.add_argument("--killed-over", type=int, default=500, help="members of the killed runs")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def measured(place: Path, chosen: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Try each kind of fault that is asked for; what must be 0 is in its ``wrong``."""
    engine, seed = write_soft_engine(place / "engine"), chosen.seed

    def score(archives: Sequence[Archive], where: Path) -> Played:
        return score_archives(archives, engine, where)

    found: dict[str, dict[str, Any]] = {}
    if chosen.archives:
        rounds = list(rounds_of(chosen.archives, seed))
        found["read_by_the_sources_alone"] = played(rounds, read_archives, place / "read")
        found["scored_in_whole_runs"] = played(rounds, score, place / "scored")
    if chosen.absences:
        files = files_that_lack_a_part(seed, chosen.absences)
        found["files_that_lack_a_part"] = played([files], score, place / "files")
    if chosen.rounds:
        lacking = archives_that_lack_a_part(seed, chosen.rounds)
        found["archives_that_lack_a_part"] = played([lacking], score, place / "lacking")
    if chosen.kills:
        campaign = killed_in_archives(
            engine, place / "kills", chosen.killed_over, chosen.kills, seed
        )
        found["kills"] = summed_kills(campaign)
    return found


def rounds_of(count: int, seed: int) -> list[list[Archive]]:
    """Damage so many archives, and put good ones beside them."""
    rounds = []
    for number, first in enumerate(range(0, count, A_ROUND)):
        damaged = [damaged_archive(seed, k) for k in range(first, min(first + A_ROUND, count))]
        rounds.append(damaged + [good_archive(seed, GOODS * number + k) for k in range(GOODS)])
    return rounds


def played(rounds: Sequence[Sequence[Archive]], play: Play, place: Path) -> dict[str, Any]:
    """Play rounds, judge each, and sum up."""
    verdicts, beside, codes = [], dict.fromkeys(BESIDE, 0), Counter[int]()
    named: list[Any] = []
    for number, archives in enumerate(rounds):
        run = play(archives, place / f"round{number}")
        verdicts.append(judge(archives, run.rows))
        codes[run.exit_code] += 1
        for what in BESIDE:
            beside[what] += len(getattr(run, what))
            named += [{"what": what, "found": found} for found in getattr(run, what)]
        wrong = {w: n for w, n in verdicts[-1].wrong.items() if n}
        print(f"{place.name} {number}: {wrong or 'clean'}", file=sys.stderr)
    return summed(verdicts, named) | {
        "wrong": {name: sum(v.wrong[name] for v in verdicts) for name in WRONG} | beside,
        "exit_codes": codes,
    }


def summed(verdicts: Sequence[Verdict], named: list[Any]) -> dict[str, Any]:
    """Sum up all rounds."""
    by_kind: dict[str, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    for verdict in verdicts:
        for (kind, what), number in verdict.by_kind.items():
            by_kind.setdefault(kind, Counter())[what] += number
        for reason, number in verdict.reasons.items():
            reasons[re.sub(r"\d+(\.\d+)?", "N", reason)] += number
        named += [{"what": w, **one} for w in WRONG for one in getattr(verdict, w)]
    unproved = Counter(str(one["form"]) for v in verdicts for one in v.unproved)
    return {
        "totals": sum(by_kind.values(), Counter()),
        "wrong_named": named[:NAMED_AT_MOST],
        "damaged_bytes_of_tars_that_were_scored": unproved,
        "by_kind": dict(sorted(by_kind.items())),
        "reasons": dict(reasons.most_common()),
    }


if __name__ == "__main__":
    main()
