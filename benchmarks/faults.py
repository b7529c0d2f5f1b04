"""Do damaged files or killed processes cost a row, or are files scored that lack a part?

Thousands of damaged JPEGs lie among good ones and are scored in rounds, every round
in two neighbourhoods; then one folder is scored again and again by processes that are
killed at records all over their journals, and resumed. Counted are rows that are lost,
duplicated, about another file, or different from an undisturbed run's. Files of every format
that lack one part are scored beside their intact twins; counted are those that are scored, and
twins that are not. Two Keras loops meet the damaged files::

    python benchmarks/faults.py --mutants 10000 --absences 2000 --kills 100 --out result.json

Without --images, JPEGs are generated. With 0 of a fault, its part is left out. Exit code 1 if any
count is not 0. Needs the checkout's tests, and `pip install '.[test]'`.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from keras_loops import directory_loop, ignoring_loop
from result import parser_of, publish

from tests.faults.absences import FORMATS, absences, score_absences
from tests.faults.campaign import Campaign, kill_and_resume
from tests.faults.command import Command
from tests.faults.corpus import found_jpegs, generated_jpegs, mutants, scattered, write_folder
from tests.faults.rounds import Ground, Round, play, prepare_ground
from tests.faults.soft_engine import write_soft_engine

A_ROUND = 500
DAMAGED_OF_KILLED = 0.15
NAMED_AT_MOST = 100
WRONG = ("lost", "duplicated", "misattributed", "unstable")
SEEN = ("identified", "look_alike", "decoders_differ")


def main() -> None:
    """Do it, write it down, and say with the exit code whether anything was wrong."""
    chosen = arguments()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hambatch-faults-") as place:
        ground = prepare(Path(place), chosen)
        found = measured(ground, chosen)
    result = {
        "question": "what do damaged files, missing parts and killed processes cost?",
        "seed": chosen.seed,
        "images": "found" if chosen.images else "generated",
        "good_files": len(ground.goods),
        **found,
        "seconds": round(time.monotonic() - started, 1),
    }
    wrong = {
        f"{part}_{name}": count
        for part, of in found.items()
        for name, count in of.get("wrong", {}).items()
    }
    publish(chosen.out, result, wrong)
    sys.exit(any(wrong.values()))


def measured(ground: Ground, chosen: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Try each kind of fault that is asked for; what must be 0 is in its ``wrong``."""
    found = {}
    if chosen.mutants:
        found["damaged_files"] = fuzz(ground, chosen.mutants, chosen.seed)
    if chosen.absences:
        found["absences"] = leave_out(ground, chosen.absences, chosen.seed)
    if chosen.kills:
        found["kills"] = kill(ground, chosen.killed_over, chosen.kills, chosen.seed)
    if chosen.peer and chosen.mutants:
        found["keras"] = keras_peer(ground, chosen.seed)
    return found


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--mutants", type=int, default=10_000, help="damaged files")
    parser.add_argument("--absences", type=int, default=2000, help="files that lack a part")
    parser.add_argument("--kills", type=int, default=100, help="while scoring; a fifth more beside")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--goods", type=int, default=250, help="good files in every round")
    parser.add_argument("--killed-over", type=int, default=1000, help="files of the killed runs")
    parser.add_argument("--images", type=Path, help="folder of JPEGs; default: generated ones")
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="leave Keras out")
    return parser.parse_args()


def prepare(place: Path, chosen: argparse.Namespace) -> Ground:
    """Collect the good files and score them alone."""
    if chosen.images:
        files = found_jpegs(chosen.images, chosen.goods, chosen.seed)
    else:
        files = generated_jpegs(chosen.goods, chosen.seed, 300, 225)
    return prepare_ground(files, write_soft_engine(place / "engine"), place)


def fuzz(ground: Ground, count: int, seed: int) -> dict[str, Any]:
    """Play as many rounds as the damaged files fill."""
    bases, rounds = list(ground.goods.values()), []
    for number, first in enumerate(range(0, count, A_ROUND)):
        rounds.append(
            play(ground, mutants(bases, seed, first, min(A_ROUND, count - first)), number)
        )
        found = rounds[-1].verdict
        print(f"round {number}: {'clean' if found.clean else rounds[-1].wrong}", file=sys.stderr)
    return summed(rounds)


def summed(rounds: Sequence[Round]) -> dict[str, Any]:
    """Sum up all rounds."""
    kinds: dict[str, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    for played in rounds:
        for (kind, what), number in played.kinds.items():
            kinds.setdefault(kind, Counter())[what] += number
        for reason, number in played.reasons.items():
            reasons[re.sub(r"\d+", "N", reason)] += number
    totals = sum(kinds.values(), Counter())
    verdicts = [played.verdict for played in rounds]
    count = {name: sum(len(getattr(v, name)) for v in verdicts) for name in SEEN + WRONG}
    return {
        "rounds": len(rounds),
        "wrong": {name: count[name] for name in WRONG}
        | {"disordered": sum(v.disordered for v in verdicts)},
        "wrong_named": [w for played in rounds for w in played.wrong][:NAMED_AT_MOST],
        "second_opinion": {name: count[name] for name in SEEN},
        "totals": dict(sorted(totals.items())),
        "by_kind": {kind: dict(sorted(found.items())) for kind, found in sorted(kinds.items())},
        "reasons": dict(reasons.most_common()),
        "workers_lost": Counter(cause for played in rounds for cause in played.workers_lost),
    }


def leave_out(ground: Ground, count: int, seed: int) -> dict[str, Any]:
    """Score files that lack a part, and their intact twins."""
    made = absences(seed, count)
    noticed = score_absences(made, ground.engine, ground.place / "absences")
    reasons: Counter[str] = Counter()
    for reason, number in noticed.reasons.items():
        reasons[re.sub(r"\d+(\.\d+)?", "N", reason)] += number
    by_kind: dict[str, dict[str, int]] = {}
    for (kind, status), number in sorted(noticed.kinds.items()):
        by_kind.setdefault(kind, {"ok": 0, "failed": 0})[status] = number
    encodings = {name: len(of.encodings) for name, of in FORMATS.items()}
    return {
        "files": len(made),
        "intact_twins": noticed.twins,
        "encodings": encodings,
        "wrong": {"ok": len(noticed.scored), "twins_failed": len(noticed.twins_failed)},
        "ok_named": [
            {"k": a.k, "kind": a.kind, "encoding": a.encoding, "missing": a.missing}
            for a in noticed.scored[:NAMED_AT_MOST]
        ],
        "by_kind": by_kind,
        "reasons": dict(reasons.most_common()),
    }


def kill(ground: Ground, files: int, kills: int, seed: int) -> dict[str, Any]:
    """Score one folder, some of it damaged, over and over, killed and resumed."""
    goods, damaged = list(ground.goods.values()), int(files * DAMAGED_OF_KILLED)
    made = {scattered(f"mutant {m.k}"): m for m in mutants(goods, seed, 0, damaged)}
    contents = {name: m.content for name, m in made.items()}
    contents |= {scattered(f"copy {k}"): goods[k % len(goods)] for k in range(files - damaged)}
    place = ground.place / "kills"
    folder = write_folder(place / "images", contents)
    options = ("--batch-size", "4")
    command = Command(folder, place / "p.csv", ground.engine, place / "scratch", options)
    campaign = kill_and_resume(command, seed, kills)
    blamed = (made[name].kind if name in made else "good" for name in campaign.differing_images)
    return summed_kills(campaign) | {"images_that_differ": Counter(blamed)}


def summed_kills(campaign: Campaign) -> dict[str, Any]:
    """Sum up all killed runs."""
    tenths = Counter(10 * kill.fell // campaign.rows for kill in campaign.inside)
    return {
        "rows": campaign.rows,
        "runs": campaign.runs,
        "kills": len(campaign.kills),
        "between_first_and_last_record": len(campaign.inside),
        "of_these_by_tenth_of_the_rows": [tenths[k] for k in range(10)],
        "of_these_fell_at": sorted(kill.fell for kill in campaign.inside),
        "before_the_first_record": sum(kill.fell == 0 for kill in campaign.kills),
        "after_the_last_record": sum(kill.fell >= campaign.rows for kill in campaign.kills),
        "too_late_to_be_one": campaign.missed,
        "of_whole_group": sum(kill.aim.whole_group for kill in campaign.kills),
        "with_torn_journal": sum(bool(kill.aim.torn_bytes) for kill in campaign.kills),
        "wrong": {
            "lost": campaign.lost,
            "duplicated": campaign.duplicated,
            "tables_that_differ": campaign.differing,
            "orphans": campaign.orphans,
            "exposed_journals": campaign.exposed,
        },
        "byte_identical": campaign.runs - campaign.differing,
        "files_left_behind": campaign.left_behind,
        "temporary_folders_left": campaign.temporary_left,
    }


def keras_peer(ground: Ground, seed: int) -> dict[str, Any]:
    """Let Keras loop over the first round's folder, and over one with 1 % of it damaged."""
    bases = list(ground.goods.values())
    few = [m for m in mutants(bases, seed, 0, A_ROUND) if m.kind == "cut"]
    mild = ground.goods | {scattered(f"few {m.k}"): m.content for m in few[: len(bases) // 100 + 1]}
    folders = {
        "first_round": ground.place / "round0" / "mixed" / "images",
        "one_percent_cut": write_folder(ground.place / "mild", mild),
    }
    return {
        name: {
            "image_dataset_from_directory": asdict(directory_loop(folder)),
            "decode_jpeg_ignore_errors": asdict(ignoring_loop(folder)),
        }
        for name, folder in folders.items()
    }


if __name__ == "__main__":
    main()
