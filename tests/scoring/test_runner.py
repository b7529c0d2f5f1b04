"""Pass after pass: no wrong answer gets into the journal, too many failures stop a run."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from hambatch.errors import InputError, SentinelError
from hambatch.scoring.journal.folder import journal_folder, open_journal
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from hambatch.scoring.runner import _arrange_stop, side_by_side
from hambatch.sinks.formats import read_rows
from hambatch.system.interrupts import Stop
from hambatch.types import Row
from tests.conftest import jpeg_bytes
from tests.scoring.conftest import Inject
from tests.waiting import HANGS_S, lines_in, wait_for

WRONG = """
from hambatch.backends.openvino_cpu import OpenVinoBackend
real = OpenVinoBackend.predict
def predict(self, batches):
    for number, scored in enumerate(real(self, batches)):
        {fault}
        yield scored
OpenVinoBackend.predict = predict
"""
ONE_ROW = (
    "fired(); row = scored.places[:, 0, 1] == 1; scored.logits[row] = scored.logits[row, ::-1]"
)
"""Of every infer request."""

FAULTS = {
    "one row": ONE_ROW,
    "one batch": "if number == 5: fired(); scored.logits[:] = scored.logits[:, ::-1].copy()",
    "one batch whose images change places": (
        "if number == 5: fired(); scored.logits[:] = scored.logits[::-1].copy()"
    ),
    "one class from one batch on": "if number > 5: fired(); scored.logits[:, 3] += 1",
    "no numbers": "if number == 5: fired(); scored.logits[:] = float('nan')",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = tmp_path_factory.mktemp("wrong") / "images"
    images.mkdir()
    for k in range(120):
        (images / f"{k:03d}.jpg").write_bytes(jpeg_bytes(k))
    return images


@pytest.fixture(scope="module")
def options(tiny_engine: Path) -> ScoreOptions:
    return ScoreOptions(engine=str(tiny_engine), batch_size=8)


@pytest.fixture(scope="module")
def whole(folder: Path, options: ScoreOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table of a run without faults."""
    out = tmp_path_factory.mktemp("whole") / "whole.csv"
    score([folder], out, "csv", options)
    return out


def rows_kept(out: Path) -> dict[str, Row]:
    with open_journal(out) as journal:
        listing = journal.listing()
        with closing(journal.rows(listing)) as log:
            names = list(listing)
            return {names[k]: log.row(k, names[k]) for k in range(listing.count) if k in log}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_sentinels_stop_the_run_and_name_what_is_suspect(
    folder: Path,
    whole: Path,
    options: ScoreOptions,
    tmp_path: Path,
    inject: Inject,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:
    out, stopped = tmp_path / "p.csv", tmp_path / "p.csv.stopped.json"
    rows = {row.image: row for row in read_rows(whole, "csv")}
    inject(WRONG.format(fault=FAULTS[fault]))
    with pytest.raises(SentinelError, match=r"in batch \d+") as error:
        score([folder], out, "csv", options)
    assert not out.exists()
    record = json.loads(stopped.read_text())
    assert record["state"] == "stopped by a sentinel"
    assert record["why"] == str(error.value)
    assert record["suspect_rows"] == sorted(record["suspect_rows"])
    assert record["suspect_rows"]
    # Every row that is kept is right.
    kept = rows_kept(out)
    assert kept == {name: rows[name] for name in kept}
    assert not kept.keys() & set(record["suspect_rows"])
    if fault != "one row":
        return
    monkeypatch.delenv("PYTHONPATH")
    outcome = score([folder], out, "csv", options)
    assert outcome.kept == len(kept)
    assert out.read_bytes() == whole.read_bytes()
    assert not stopped.exists()


def test_rows_that_a_wrong_slot_gave_do_not_outlive_a_kill(
    folder: Path,
    whole: Path,
    options: ScoreOptions,
    tmp_path: Path,
    inject: Inject,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "p.csv"
    marker = inject(WRONG.format(fault=f"{ONE_ROW}; __import__('time').sleep(0.2)"))
    named = ["score", folder, "--out", out, "--engine", options.engine, "--batch-size", 8]
    command = [sys.executable, "-m", "hambatch", *map(str, named)]
    run = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    rows = journal_folder(out) / "rows"
    with run:
        wait_for(lambda: run.poll() is not None or lines_in(rows) > 8, "rows")
        run.kill()
    assert marker.exists()
    right = {row.image: row for row in read_rows(whole, "csv")}
    kept = rows_kept(out)
    assert kept
    assert kept == {name: right[name] for name in kept}
    monkeypatch.delenv("PYTHONPATH")
    score([folder], out, "csv", options)
    assert out.read_bytes() == whole.read_bytes()


def test_rows_that_a_lost_worker_gave_are_scored_again_unless_they_are_proven(
    folder: Path, whole: Path, options: ScoreOptions, tmp_path: Path, inject: Inject
) -> None:
    out = tmp_path / "p.csv"
    # The first worker answers wrongly in one slot, and dies before a sentinel gets there.
    first = tmp_path / "first"
    first.touch()
    inject(
        WRONG.format(
            fault=f"import os, pathlib\n        first = pathlib.Path({str(first)!r})\n"
            "        if first.exists():\n"
            "            scored.logits[5:6] = scored.logits[5:6, ::-1].copy()\n"
            "        if first.exists() and number == 2:\n"
            "            fired(); first.unlink(); os.kill(os.getpid(), 11)"
        )
    )
    score([folder], out, "csv", options)
    assert out.read_bytes() == whole.read_bytes()


def test_a_share_of_failures_that_is_allowed_does_not_stop_a_run(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    for k in range(6):
        (image_folder / f"empty_{k}.jpg").touch()
    limit = ScoreOptions(engine=str(tiny_engine), batch_size=8, fail_over=20.0)
    assert score([image_folder], tmp_path / "p.csv", "csv", limit).tally.failed == 6
    (image_folder / "empty_6.jpg").touch()
    (image_folder / "empty_7.jpg").touch()
    # Seven are too many, too: it depends on which sentinel has confirmed how many.
    with pytest.raises(InputError, match=r"[78] of 32 images failed"):
        score([image_folder], tmp_path / "q.csv", "csv", limit)
    assert not (tmp_path / "q.csv").exists()


# Streams drawn at once: nothing is lost, and the first trouble ends them all.


def never() -> None:
    raise AssertionError("abandoned for no reason")


def test_all_items_of_all_streams_come_each_streams_in_order() -> None:
    found = list(side_by_side([iter(range(0, 50)), iter(range(100, 130)), iter([])], never))
    assert [item for item in found if item < 100] == [*range(50)]
    assert [item for item in found if item >= 100] == [*range(100, 130)]


def test_a_single_stream_is_drawn_on_the_callers_thread() -> None:
    def stream() -> Iterator[int]:
        yield threading.get_ident()

    assert list(side_by_side([stream()], never)) == [threading.get_ident()]


def test_streams_are_drawn_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=HANGS_S)

    def stream() -> Iterator[int]:
        both.wait()
        yield 1

    assert list(side_by_side([stream(), stream()], never)) == [1, 1]


class Endless:
    """A stream that goes on until it is abandoned, and says so."""

    def __init__(self) -> None:
        self.abandoned = threading.Event()

    def __iter__(self) -> Iterator[int]:
        while not self.abandoned.is_set():
            yield 0
        raise ConnectionError("abandoned")


def test_what_a_stream_raises_ends_the_others_and_is_raised() -> None:
    endless = Endless()

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        list(side_by_side([failing(), iter(endless)], endless.abandoned.set))
    assert endless.abandoned.is_set()


def test_whoever_stops_taking_ends_the_streams_too() -> None:
    before = set(threading.enumerate())
    endless = Endless()
    taken = side_by_side([iter(endless), iter(endless)], endless.abandoned.set)
    assert next(taken) == 0
    assert len(set(threading.enumerate()) - before) == 2
    taken.close()
    assert endless.abandoned.is_set()
    assert not set(threading.enumerate()) - before


def test_what_is_raised_is_what_was_raised_first_in_time_whichever_streams_it_was() -> None:
    endless = Endless()

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("the reason")

    with pytest.raises(ValueError, match="the reason"):
        list(side_by_side([iter(endless), failing()], endless.abandoned.set))


def test_a_signal_that_came_before_the_first_batch_abandons_what_has_not_begun() -> None:
    for requested in (False, True):
        stop, abandoned = Stop(), list[bool]()
        stop.requested = requested
        _arrange_stop(stop, [], partial(abandoned.append, True))
        assert (stop.late, abandoned) == (requested, [True] * requested)
