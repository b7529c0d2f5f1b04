"""Do damaged or hostile DICOM files cost a row, change a good one, or tell who the patient is?

DICOM files of every transfer syntax are damaged bit by bit, cut, or written so that they lie:
swapped tags, wrong lengths and value representations, other numbers of frames, other sizes and
syntaxes, sequences without an end, offset tables and fragments that lie, deflate bombs, hostile
text. Whole runs score them among good ones, twice each and once until too many images have failed.
Counted are files or frames without a row, rows about other bytes, good rows that change, crashes,
and values of the headers in any output, journal or message::

    python benchmarks/dicom_faults.py --files 500 --seed 0 --out result.json

Exit code 1 if any count is not 0. Needs the checkout's tests, and `pip install '.[test]'`.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from result import parser_of, publish

from tests.faults.dicom_damage import KINDS, damaged_file, good_file
from tests.faults.dicom_rounds import BESIDE, WRONG, Played, play
from tests.faults.dicom_writing import WRITINGS
from tests.faults.soft_engine import write_soft_engine

A_ROUND = 125
GOODS = 2 * len(WRITINGS)
"""Good files in every round: two of every way of writing."""

NAMED_AT_MOST = 100


def main() -> None:
    """Do it, write it down, and say with the exit code whether anything was wrong."""
    chosen = arguments()
    started = time.monotonic()
    # pydicom warns of the damage that is written.
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="hambatch-dicom-") as place:
        rounds = list(played(Path(place), chosen.files, chosen.seed))
    result = {
        "question": "what do damaged and hostile DICOM files cost, and what do they tell?",
        "seed": chosen.seed,
        "damaged_files": chosen.files,
        "ways_of_writing": list(WRITINGS),
        "kinds_of_damage": len({damage for damage, _ in KINDS}),
        **summed(rounds),
        "seconds": round(time.monotonic() - started, 1),
    }
    publish(chosen.out, result, result["wrong"])
    sys.exit(any(result["wrong"].values()))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--files", type=int, default=500, help="damaged files")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def played(place: Path, count: int, seed: int) -> list[Played]:
    """Play as many rounds as the damaged files fill."""
    engine, rounds = write_soft_engine(place / "engine"), []
    for number, first in enumerate(range(0, count, A_ROUND)):
        damaged = [damaged_file(seed, k) for k in range(first, min(first + A_ROUND, count))]
        good = [good_file(seed, GOODS * number + k) for k in range(GOODS)]
        rounds.append(play(damaged, good, engine, place / f"round{number}"))
        wrong = {what: n for what, n in rounds[-1].wrong.items() if n}
        print(f"round {number}: {wrong or 'clean'}", file=sys.stderr)
    return rounds


def summed(rounds: Sequence[Played]) -> dict[str, Any]:
    """Sum up all rounds."""
    by_kind: dict[str, Counter[str]] = {}
    for one in rounds:
        for (kind, what), number in one.by_kind.items():
            by_kind.setdefault(kind, Counter())[what] += number
    named = [
        {"what": what, "found": found}
        for one in rounds
        for what in (*WRONG, *BESIDE)
        for found in getattr(one, what)
    ]
    return {
        "rows": sum(one.rows for one in rounds),
        "values_searched": sum(one.searched for one in rounds),
        "wrong": {what: sum(one.wrong[what] for one in rounds) for what in (*WRONG, *BESIDE)},
        "wrong_named": named[:NAMED_AT_MOST],
        "workers_lost": [why for one in rounds for why in one.workers_lost],
        "totals": sum(by_kind.values(), Counter()),
        "by_kind": dict(sorted(by_kind.items())),
        "reasons": dict(sum((one.reasons for one in rounds), Counter()).most_common()),
    }


if __name__ == "__main__":
    main()
