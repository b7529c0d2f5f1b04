"""An index proves that a file was left alone, or is not used."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hambatch.scoring.journal.folder import open_journal
from hambatch.scoring.update import index as module
from hambatch.scoring.update.index import (
    NO_STAT,
    Stats,
    UnfitIndex,
    keep_stats,
    open_index,
    write_index,
)
from hambatch.sinks.publish import index_path
from hambatch.sources.listing import list_sources
from hambatch.sources.source import Sources, find_sources

TABLE = "a" * 64


@dataclass
class Made:
    """An index, and the record of its table."""

    out: Path
    sources: Sources
    record: dict[str, Any]
    listed_ns: int

    def lines(self) -> list[str]:
        with open_index(self.out, self.record, self.sources) as found:
            return list(found.lines())


def make(tmp_path: Path, listed_ns: int = 0) -> Made:
    folder = tmp_path / "s"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(b"x" * 10)
    sources, out = find_sources([folder]), tmp_path / "p.csv"
    listed_ns = listed_ns or time.time_ns() + 10 * module.UNSETTLED_NS
    with open_journal(out) as journal:
        listing = list_sources(sources, journal.listing_path)
        kept = listed_ns, keep_stats(journal, sources, listing)
        sha256 = write_index(index_path(out), journal, TABLE, sources, kept)
    record = {"output": {"sha256": TABLE}, "update": {"index_sha256": sha256}}
    return Made(out, sources, record, listed_ns)


def lines_now(made: Made, tmp_path: Path) -> list[str]:
    return list(Stats(made.sources).lines(list_sources(made.sources, tmp_path / "listing")))


def test_a_file_that_was_left_alone_has_the_same_line(tmp_path: Path) -> None:
    made = make(tmp_path)
    assert made.lines() == lines_now(made, tmp_path)
    with open_index(made.out, made.record, made.sources) as found:
        assert found.listed_ns == made.listed_ns
        assert all(map(found.proves, found.lines()))


def same_size_and_times(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"y" * 10)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    beside = path.with_name("beside")
    beside.write_bytes(b"y" * 10)
    os.utime(beside, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    beside.replace(path)


@pytest.mark.parametrize("change", [same_size_and_times, replaced, Path.touch])
def test_a_file_that_was_touched_has_another_line(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    made = make(tmp_path)
    change(tmp_path / "s" / "b.jpg")
    before, now = made.lines(), lines_now(made, tmp_path)
    assert before[0] == now[0]
    assert before[1] != now[1]


@pytest.mark.parametrize("late_s", [-1, 1.9])
def test_a_file_changed_shortly_before_its_listing_or_after_proves_nothing(
    tmp_path: Path, late_s: float
) -> None:
    made = make(tmp_path, listed_ns=int(time.time_ns() + late_s * 1e9))
    with open_index(made.out, made.record, made.sources) as found:
        assert not any(map(found.proves, found.lines()))


def test_a_link_out_of_the_folder_and_a_missing_file_prove_nothing(tmp_path: Path) -> None:
    made = make(tmp_path)
    (tmp_path / "out.jpg").write_bytes(b"x")
    (tmp_path / "s" / "inside.jpg").symlink_to("a.jpg")
    (tmp_path / "s" / "link.jpg").symlink_to(tmp_path / "out.jpg")
    (tmp_path / "s" / "lost.jpg").symlink_to("nowhere")
    found = {line.split("\t")[0]: line.split("\t")[2:] for line in lines_now(made, tmp_path)}
    assert found["link.jpg"] == found["lost.jpg"] == [NO_STAT]
    assert found["inside.jpg"] == found["a.jpg"]


def cut(made: Made) -> None:
    path = index_path(made.out)
    path.write_bytes(path.read_bytes()[:-1])


def flipped(made: Made) -> None:
    path = index_path(made.out)
    path.write_bytes(path.read_bytes().replace(b"\t10\t", b"\t11\t", 1))


def swapped_header(made: Made) -> None:
    path = index_path(made.out)
    header, _, lines = path.read_bytes().partition(b"\n")
    about = json.loads(header) | {"table_sha256": "b" * 64}
    path.write_bytes(json.dumps(about).encode() + b"\n" + lines)


def of_another_table(made: Made) -> None:
    made.record["output"]["sha256"] = "b" * 64


def of_other_sources(made: Made) -> None:
    made.sources = find_sources([made.out.parent])


def of_a_run_without(made: Made) -> None:
    del made.record["update"]


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (cut, "damaged"),
        (flipped, "damaged"),
        (swapped_header, "damaged"),
        (lambda made: index_path(made.out).unlink(), "No such file"),
        (of_another_table, "another table"),
        (of_other_sources, "sources"),
        (of_a_run_without, "without --update"),
    ],
)
def test_an_index_that_does_not_fit_is_not_used(
    tmp_path: Path, damage: Callable[[Made], None], why: str
) -> None:
    made = make(tmp_path)
    damage(made)
    with pytest.raises(UnfitIndex, match=why):
        made.lines()
