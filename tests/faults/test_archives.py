"""A damaged or hostile archive costs no undamaged member its row, and gives none a wrong one.

A small part of ``benchmarks/archive_faults.py``, which also kills runs inside of archives.
"""

import pytest

from hambatch.system.text import decode_name
from tests.faults.archive_absences import (
    HOLDERS,
    archives_that_lack_a_part,
    files_that_lack_a_part,
)
from tests.faults.archive_damage import FORMS, KINDS, Archive, damaged_archive, good_archive
from tests.faults.archive_oracle import Verdict, judge
from tests.faults.archive_rounds import Played, read_archives, score_archives
from tests.faults.dose import Dose, dose_from_environment
from tests.faults.soft_engine import write_soft_engine

IN_A_RUN = 6


@pytest.fixture(scope="module")
def dose() -> Dose:
    return dose_from_environment()


@pytest.fixture(scope="module")
def damaged(dose: Dose) -> list[Archive]:
    return [damaged_archive(dose.seed, k) for k in range(dose.mutants)]


@pytest.fixture(scope="module")
def lacking(dose: Dose) -> list[Archive]:
    return archives_that_lack_a_part(dose.seed, 2)


@pytest.fixture(scope="module")
def good(dose: Dose) -> list[Archive]:
    return [good_archive(dose.seed, k) for k in range(len(FORMS))]


@pytest.fixture(scope="module")
def read(
    damaged: list[Archive],
    lacking: list[Archive],
    good: list[Archive],
    tmp_path_factory: pytest.TempPathFactory,
) -> Played:
    return read_archives([*damaged, *lacking, *good], tmp_path_factory.mktemp("read") / "round")


@pytest.fixture(scope="module")
def in_a_run(dose: Dose, damaged: list[Archive]) -> list[Archive]:
    files = files_that_lack_a_part(dose.seed, 8 * len(HOLDERS), 8)
    return [*damaged[-IN_A_RUN:], *files]


@pytest.fixture(scope="module")
def scored(in_a_run: list[Archive], tmp_path_factory: pytest.TempPathFactory) -> Played:
    place = tmp_path_factory.mktemp("scored")
    engine = write_soft_engine(place / "engine")
    return score_archives(in_a_run, engine, place / "round", batch_sizes=("8",))


def test_every_kind_of_damage_comes_up_and_is_the_same_again(
    dose: Dose, damaged: list[Archive]
) -> None:
    kinds = {f"{family} {damage.__name__}" for family, _, damage in KINDS}
    assert {archive.kind for archive in damaged} == kinds
    assert [damaged_archive(dose.seed, k) for k in range(20)] == damaged[:20]


def test_no_undamaged_member_is_lost_and_no_row_is_about_other_bytes(
    damaged: list[Archive], lacking: list[Archive], good: list[Archive], read: Played
) -> None:
    assert_nothing_wrong(judge([*damaged, *lacking, *good], read.rows))


def test_no_archive_ends_the_reading_or_takes_long_and_nothing_is_written(read: Played) -> None:
    assert (read.crashes, read.hangs, read.outside) == ([], [], [])


def test_an_archive_that_lacks_a_part_has_a_failed_row_and_its_twin_has_none(
    lacking: list[Archive], read: Played
) -> None:
    names = {archive.name for archive in lacking}
    rows = {
        name: row for name, row in read.rows.items() if decode_name(name).split("!/")[0] in names
    }
    verdict = judge(lacking, rows)
    assert_nothing_wrong(verdict)
    failed = {kind: n for (kind, what), n in verdict.by_kind.items() if what == "failed"}
    assert failed.pop("good") == 0
    assert all(failed.values())


def test_files_that_lack_a_part_fail_and_twins_are_scored_in_every_kind_of_archive(
    in_a_run: list[Archive], scored: Played
) -> None:
    assert {archive.form for archive in in_a_run} >= set(HOLDERS)
    assert_nothing_wrong(judge(in_a_run, scored.rows))


def test_a_run_over_damaged_archives_ends_and_writes_only_its_table(scored: Played) -> None:
    assert (scored.crashes, scored.outside, scored.exit_code) == ([], [], 3)


def assert_nothing_wrong(verdict: Verdict) -> None:
    assert {what: count for what, count in verdict.wrong.items() if count} == {}, verdict
    assert verdict.by_kind
