"""What does a night cost: `score --update` with few new files among many, against a fresh run?

Part one scores a folder once, and then again and again with `--update`, with 0, 10, 100 and 1,000
new files in it. Wall times of whole processes are given, and those of a fresh run of all files.
Part two begins one update again and again and kills it (SIGKILL) at moments spread over its whole
length; the next start has to give, byte for byte, the table of a fresh run and the changes of an
update that nobody killed::

    python benchmarks/update.py --count 10000 --kills 50 --out result.json

Exit code 1 if any table or any changes differ. Needs the checkout's tests, and
`pip install '.[test]'`.
"""

import argparse
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from result import parser_of, publish

from hambatch.engines.loading import find_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.sinks.publish import outputs_of
from tests.conftest import jpeg_bytes
from tests.faults.command import Command
from tests.faults.processes import orphans, session
from tests.faults.soft_engine import write_soft_engine

NEW = (0, 10, 100, 1000)

SETTLING_S = 3.0
"""Files that were changed less than two seconds before their listing are read the next time."""

WHOLE_GROUP_SHARE = 0.2

FILES_OF_KILLED = 120

PATIENCE_S = 60.0


def main() -> None:
    """Measure, kill, print and write."""
    chosen = arguments()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hambatch-update-") as place:
        found = {
            **({"times": times(Path(place) / "times", chosen)} if chosen.count else {}),
            **({"kills": kills(Path(place) / "kills", chosen)} if chosen.kills else {}),
        }
    result = {
        "question": "what does an update cost, and what does a kill inside it?",
        "seed": chosen.seed,
        "seconds": round(time.monotonic() - started, 1),
        **found,
    }
    publish(chosen.out, result, found)
    sys.exit(any(count for part in found.values() for count in part["wrong"].values()))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of(__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="files that have a row already")
    parser.add_argument(
        "--repeats", type=int, default=3, help="updates of each number of new files"
    )
    parser.add_argument("--kills", type=int, default=50, help="kills inside an update")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engine", default=DEFAULT_ENGINE, help="of the times")
    return parser.parse_args()


def write_pictures(folder: Path, seeds: Sequence[int]) -> None:
    """Write small JPEGs, a different one for each seed."""
    for seed in seeds:
        path = folder / f"{seed % 40:02d}" / f"{seed:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg_bytes(seed))


def times(place: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Time updates, the numbers of new files in turn, and one fresh run of the most files."""
    folder, base = place / "images", place / "base" / "p.csv"
    base.parent.mkdir(parents=True)
    write_pictures(folder, range(chosen.count))
    time.sleep(SETTLING_S)
    engine = find_engine(chosen.engine).resolve()
    command = Command(folder, base, engine, place / "scratch", ("--update",))
    fresh_s = timed(command)
    seconds: dict[int, list[float]] = {new: [] for new in NEW}
    differing = 0
    for turn in range(chosen.repeats):
        for new in NEW:
            write_pictures(folder, range(chosen.count, chosen.count + new))
            again = copied(command, place / f"turn{turn}_{new}")
            seconds[new].append(timed(again))
            if turn == 0 and new == NEW[1]:
                whole = replace(command, out=place / "whole.csv", options=())
                timed(whole)
                differing += whole.out.read_bytes() != again.out.read_bytes()
            for seed in range(chosen.count, chosen.count + new):
                (folder / f"{seed % 40:02d}" / f"{seed:07d}.jpg").unlink()
    return {
        "files": chosen.count,
        "engine": chosen.engine,
        "fresh_s": fresh_s,
        "update_s": {str(new): found for new, found in seconds.items()},
        "update_s_median": {str(new): statistics.median(found) for new, found in seconds.items()},
        "wrong": {"tables_that_differ": differing},
    }


def timed(command: Command) -> float:
    """Run it to its end; seconds of the whole process."""
    started = time.monotonic()
    command.finish()
    return round(time.monotonic() - started, 3)


def copied(command: Command, folder: Path) -> Command:
    """Give a table, and what belongs to it, another place, to be updated there."""
    folder.mkdir()
    for path in outputs_of(command.out):
        if path.exists():
            shutil.copy2(path, folder / path.name)
    return replace(command, out=folder / command.out.name)


@dataclass
class Killed:
    """What all kills came to."""

    states: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    missed: int = 0


def kills(place: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """Kill one update over and over, each time from the same table on."""
    folder, rng = place / "images", np.random.default_rng(chosen.seed)
    write_pictures(folder, range(FILES_OF_KILLED))
    time.sleep(SETTLING_S)
    engine = write_soft_engine(place / "engine")
    options = ("--update", "--batch-size", "4")
    base = Command(folder, place / "base" / "p.csv", engine, place / "scratch", options)
    base.out.parent.mkdir()
    base.finish()
    a_night(folder)
    fresh = replace(base, out=place / "fresh.csv", options=options[1:])
    fresh.finish()
    whole = copied(base, place / "whole")
    seconds = timed(whole)
    wanted = (fresh.out.read_bytes(), changes_of(whole))
    killed = Killed()
    killed.wrong["tables_that_differ"] += whole.out.read_bytes() != wanted[0]
    for number in range(3 * chosen.kills):
        if (done := sum(killed.states.values())) == chosen.kills:
            break
        again = copied(base, place / f"killed{number}")
        delay_s = (done + rng.random()) / chosen.kills * seconds
        if kill(again, delay_s, killed, whole_group=bool(rng.random() < WHOLE_GROUP_SHARE)):
            again.finish()
        look(again, wanted, killed)
        shutil.rmtree(again.out.parent)
    return {
        "files": FILES_OF_KILLED,
        "uninterrupted_s": seconds,
        "kills": sum(killed.states.values()),
        "too_late_to_be_one": killed.missed,
        "what_a_kill_left": dict(killed.states),
        "wrong": {name: killed.wrong[name] for name in WRONG},
    }


WRONG = ("tables_that_differ", "changes_that_differ", "orphans", "files_left_behind")


def a_night(folder: Path) -> None:
    """Let files come, change, move, break and vanish."""
    found = sorted(folder.rglob("*.jpg"))
    for path in found[:10]:
        path.rename(path.with_name(f"moved_{path.name}"))
    for seed, path in enumerate(found[10:20], 10_000):
        path.write_bytes(jpeg_bytes(seed))
    for path in found[20:30]:
        path.unlink()
    for path in found[30:35]:
        path.write_bytes(path.read_bytes()[:500])
    write_pictures(folder, range(20_000, 20_040))


def kill(command: Command, delay_s: float, killed: Killed, *, whole_group: bool) -> bool:
    """Start it, and kill it after some seconds; False if its work was done by then."""
    before = command.out.read_bytes()
    process = command.start()
    time.sleep(delay_s)
    if process.poll() is not None:
        killed.missed += 1
        return False
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
    killed.wrong["orphans"] += orphans(session(process.pid), PATIENCE_S)
    begun = (command.journal / "run.json").exists()
    is_new = command.out.read_bytes() != before
    if is_new:
        state = "table_in_place" if begun else "all_in_place"
    else:
        state = "begun" if begun else "not_begun"
    killed.states[state] += 1
    # A start after the end of an update is another update, which changes nothing.
    return state != "all_in_place"


def changes_of(command: Command) -> bytes:
    """What an update left beside its table."""
    return command.out.with_name(f"{command.out.name}.changes.csv").read_bytes()


def look(command: Command, wanted: tuple[bytes, bytes], killed: Killed) -> None:
    """Compare what is there at the end with what has to be."""
    table, changes = wanted
    killed.wrong["tables_that_differ"] += command.out.read_bytes() != table
    killed.wrong["changes_that_differ"] += changes_of(command) != changes
    # A kill while the journal is removed leaves its folder to the next start.
    left = [path for path in command.out.parent.iterdir() if path != command.journal]
    # Table, record, changes and index.
    killed.wrong["files_left_behind"] += len(left) - 4


if __name__ == "__main__":
    main()
