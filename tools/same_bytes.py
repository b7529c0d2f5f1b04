"""Proves that two installations of hambatch write the same bytes.

``python tools/same_bytes.py --before OLD/bin/python --after NEW/bin/python --images DIR
--odd DIR --truth split.csv --work DIR`` lets both score the same images in every format, and a
part of them in other ways; compares tables byte for byte, run records and the JSON of
``evaluate`` key by key; and continues with the new one a run that the old one began and that
was killed, which it has to refuse, as it decodes by other rules. Of the odd images rows may differ
that name such a rule. It prints a table, writes ``same_bytes.json`` into the work folder, and ends
with exit code 1 if anything differs. With ``--reuse``, what the old one wrote before is kept.

Only the command line is used, so the two may be laid out in any way.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from differences import ADDED, IGNORED, OTHER_RULE, Check, same_bytes, same_keys, same_rows

PICTURES = {".jpg", ".jpeg", ".png"}

SCORES: dict[str, tuple[str, str, list[str]]] = {
    "images-csv": ("images", "preds.csv", []),
    "images-jsonl": ("images", "preds.jsonl", []),
    "images-parquet": ("images", "preds.parquet", []),
    "images-isic": ("images", "preds.isic.csv", ["--format", "isic"]),
    "odd-csv": ("odd", "preds.csv", []),
    "odd-jsonl": ("odd", "preds.jsonl", []),
    "odd-parquet": ("odd", "preds.parquet", []),
    "few-fp32": ("few", "preds.csv", ["--precision", "fp32"]),
    "few-tta": ("few", "preds.csv", ["--tta", "2"]),
}
"""Runs of ``score`` by name: the folder of images, the table, and more options.

The odd images make no submission: several have the same stem."""

HELD_OUT = ["--split", "test", "--out", "evaluated"]
"""Options of ``evaluate``: the engine was trained on the other images."""

ROWS = 20
"""How many rows the journal holds when its run is killed."""

INTERRUPTED = ["score", "images", "--out", "preds.csv", "--batch-size", "8"]


class Side:
    """One installation, and the folder that holds what it wrote."""

    def __init__(self, python: str, folder: Path, sources: dict[str, Path]) -> None:
        self.folder = folder
        self._sources = sources
        self._python = python

    def command(self, arguments: list[str]) -> list[str]:
        """Give a command line; the first word after ``score`` names a folder of images."""
        given = [str(self._sources.get(word, word)) for word in arguments]
        return [self._python, "-m", "hambatch", *given]

    def start(self, arguments: list[str], folder: Path) -> subprocess.Popen[str]:
        """Start hambatch in a folder, with a cache of its own, in a process group of its own."""
        env = {**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache")}
        env.pop("PYTHONPATH", None)
        return subprocess.Popen(  # noqa: S603
            self.command(arguments),
            cwd=folder,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, arguments: list[str], folder: Path) -> dict[str, Any]:
        """Run hambatch to its end; give its exit code and what it wrote to standard error."""
        process = self.start(arguments, folder)
        _, errors = process.communicate()
        return {"exit": process.returncode, "stderr": errors}

    def write_everything(self, truth: Path) -> None:
        """Score in every way, and evaluate."""
        ends = {}
        for name, (source, table, options) in SCORES.items():
            (self.folder / name).mkdir(parents=True)
            arguments = ["score", source, "--out", table, *options]
            ends[name] = self.run(arguments, self.folder / name)
        arguments = ["evaluate", "preds.csv", "--truth", str(truth), *HELD_OUT]
        ends["evaluate"] = self.run(arguments, self.folder / "images-csv")
        (self.folder / "ends.json").write_text(json.dumps(ends, indent=2))

    def begin_and_kill(self, folder: Path) -> None:
        """Start a run, and kill all of its processes when its journal holds some rows."""
        folder.mkdir(parents=True)
        process = self.start(INTERRUPTED, folder)
        rows = folder / "preds.csv.journal" / "rows"
        while process.poll() is None and _rows_in(rows) < ROWS:
            time.sleep(0.002)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        _, errors = process.communicate()
        while _alive(process.pid):
            time.sleep(0.01)
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(f"the run to be killed ended before: {process.returncode}\n{errors}")


def _rows_in(path: Path) -> int:
    try:
        return path.read_bytes().count(b"\n")
    except FileNotFoundError:
        return 0


def _alive(group: int) -> bool:
    """Tell whether a process group has members that are not dead; defunct ones may stay."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if its_group == str(group) and state not in "ZX":
            return True
    return False


def compare(before: Side, after: Side) -> Iterator[Check]:
    """Compare everything that both sides wrote."""
    ends = [json.loads((side.folder / "ends.json").read_text()) for side in (before, after)]
    for name in ends[0]:
        codes = [end[name]["exit"] for end in ends]
        right = codes[0] == codes[1] and codes[0] in (0, 3)
        yield Check(f"{name}: exit code", right, " and ".join(map(str, codes)))
    for name, (source, table, _) in SCORES.items():
        folders = before.folder / name, after.folder / name
        files = [sorted(path.name for path in folder.iterdir()) for folder in folders]
        yield Check(f"{name}: files", files[0] == files[1], _of_two("; ".join, *files))
        same_table = same_rows if source == "odd" else same_bytes
        yield same_table(f"{name}: table", *(folder / table for folder in folders))
        records = (folder / f"{table}.run.json" for folder in folders)
        but = ("counts.", "output.sha256", "timing.") if source == "odd" else ()
        yield same_keys(f"{name}: record", *records, but=but)
    evaluated = (
        side.folder / "images-csv" / "evaluated" / "evaluation.json" for side in (before, after)
    )
    yield same_keys("evaluate: JSON", *evaluated, but=(*OTHER_RULE, "leak_check.", "origin."))


def _of_two(show: Any, before: Any, after: Any) -> str:
    return show(before) if before == after else f"{show(before)} and {show(after)}"


OTHER_RULES = "its rows were made by the rules 1 of decoding"


def refused(side: Side, killed: Path, name: str) -> Iterator[Check]:
    """Continue a copy of the killed run: it has to be refused, and its journal left as it is."""
    folder = side.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(killed, folder)
    rows = folder / "preds.csv.journal" / "rows"
    before = rows.read_bytes()
    end = side.run(INTERRUPTED, folder)
    message = end["stderr"].strip()
    clear = end["exit"] == 1 and OTHER_RULES in message and "Next:" in message
    yield Check(f"{name}: refused", clear, f"exit code {end['exit']}: {message}")
    yield Check(f"{name}: journal", rows.read_bytes() == before, f"{_rows_in(rows)} rows are kept")


def resume(side: Side, killed: Path, name: str) -> Iterator[Check]:
    """Continue a copy of the killed run: either the same bytes, or a clear refusal."""
    folder = side.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(killed, folder)
    journal = folder / "preds.csv.journal"
    rows = _rows_in(journal / "rows")
    begun = json.loads((journal / "run.json").read_text())["begun_utc"]
    end = side.run(INTERRUPTED, folder)
    if end["exit"]:
        message = end["stderr"].strip()
        clear = end["exit"] == 1 and "Next:" in message and "Traceback" not in message
        yield Check(f"{name}: refused", clear, f"exit code {end['exit']}: {message}")
        return
    table = same_bytes("", side.folder / "images-csv" / "preds.csv", folder / "preds.csv")
    yield Check(f"{name}: table", table.right, table.found)
    timing = json.loads((folder / "preds.csv.run.json").read_text())["timing"]
    right = timing["begun_utc"] == begun and not journal.exists()
    found = f"continued: {rows} rows in the journal, {timing['images']} scored after it"
    yield Check(f"{name}: journal", right, found if right else f"begun afresh: {end['stderr']}")


def spread(folders: list[Path], count: int) -> list[Path]:
    """Choose images evenly over the sorted names of all."""
    found = [path for folder in folders for path in folder.rglob("*")]
    found = sorted((p for p in found if p.suffix.lower() in PICTURES), key=lambda p: p.name)
    if len(found) < count:
        raise SystemExit(f"found {len(found)} images, wanted {count}")
    return [found[at * len(found) // count] for at in range(count)]


def copied(chosen: list[Path], folder: Path) -> Path:
    """Copy images into a folder that holds nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in chosen:
        shutil.copyfile(path, folder / path.name)
    return folder.resolve()


def main() -> None:
    """Run both, compare, print."""
    parser = argparse.ArgumentParser(description="Compare what two installations write.")
    parser.add_argument("--before", required=True, help="python of the old installation")
    parser.add_argument("--after", required=True, help="python of the new one")
    parser.add_argument("--images", type=Path, required=True, nargs="+", help="folders of images")
    parser.add_argument("--odd", type=Path, required=True, help="folder of broken and rare files")
    parser.add_argument("--truth", type=Path, required=True, help="the engine's split table")
    parser.add_argument("--work", type=Path, required=True, help="folder for everything written")
    parser.add_argument("--count", type=int, default=300, help="how many images")
    parser.add_argument("--few", type=int, default=40, help="how many with other options")
    parser.add_argument("--reuse", action="store_true", help="keep what the old one wrote")
    given = parser.parse_args()
    work = given.work.resolve()
    chosen = spread(given.images, given.count)
    settings = [str(path) for path in (*chosen, given.odd.resolve(), given.truth.resolve())]
    settings.append(str(given.few))
    before_settings = work / "before" / "settings.json"
    kept = (
        given.reuse
        and before_settings.exists()
        and json.loads(before_settings.read_text()) == settings
    )
    sources = {"images": work / "images", "few": work / "few", "odd": given.odd.resolve()}
    sides = [
        Side(os.path.abspath(python), work / name, sources)
        for python, name in ((given.before, "before"), (given.after, "after"))
    ]
    truth, killed = given.truth.resolve(), work / "before" / "killed"
    if not kept:
        copied(chosen, work / "images")
        copied(chosen[:: max(1, len(chosen) // given.few)][: given.few], work / "few")
        shutil.rmtree(work / "before", ignore_errors=True)
        sides[0].write_everything(truth)
        sides[0].begin_and_kill(killed)
        before_settings.write_text(json.dumps(settings))
    shutil.rmtree(work / "after", ignore_errors=True)
    sides[1].write_everything(truth)
    checks = [
        *compare(*sides),
        *resume(sides[0], killed, "old journal, old code"),
        *refused(sides[1], killed, "old journal, new code"),
    ]
    _report(checks, work / "same_bytes.json")


def _report(checks: list[Check], path: Path) -> None:
    right = all(check.right for check in checks)
    about = {
        "right": right,
        "ignored": IGNORED,
        "added": ADDED,
        "checks": [check._asdict() for check in checks],
    }
    path.write_text(json.dumps(about, indent=2) + "\n")
    print("| check | | found |\n| --- | --- | --- |")
    for check in checks:
        found = check.found.replace("\n", " ").replace("|", "\\|")
        print(f"| {check.name} | {'right' if check.right else 'WRONG'} | {found} |")
    print(f"\nIgnored keys: {', '.join(IGNORED)}")
    raise SystemExit(0 if right else 1)


if __name__ == "__main__":
    main()
