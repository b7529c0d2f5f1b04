"""Damaged files and killed processes cost no other file its row; no row is of another image.

The short dose runs with all tests. A longer one::

    HAMBATCH_FAULT_MUTANTS=2000 HAMBATCH_FAULT_KILLS=30 HAMBATCH_FAULT_SEED=7 pytest tests/faults

``benchmarks/faults.py`` gives the longest, and writes down what it found.
"""

import pytest

from tests.faults.campaign import Campaign, kill_and_resume
from tests.faults.command import Command
from tests.faults.corpus import generated_jpegs, mutants, scattered, write_folder
from tests.faults.dose import Dose, dose_from_environment
from tests.faults.mutations import Mutant
from tests.faults.rounds import Ground, Round, passes_byte_check, play, prepare_ground
from tests.faults.soft_engine import write_soft_engine

GOOD_FILES = 64
A_ROUND = 500
KILLED_OVER = 240
"""Good files of the folder that is killed over: some eighty groups of journal records."""


@pytest.fixture(scope="module")
def dose() -> Dose:
    return dose_from_environment()


@pytest.fixture(scope="module")
def bases(dose: Dose) -> list[bytes]:
    return generated_jpegs(GOOD_FILES, dose.seed, 160, 120)


@pytest.fixture(scope="module")
def damaged(dose: Dose, bases: list[bytes]) -> list[Mutant]:
    return mutants(bases, dose.seed, 0, dose.mutants)


@pytest.fixture(scope="module")
def ground(bases: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Ground:
    place = tmp_path_factory.mktemp("fuzz")
    return prepare_ground(bases, write_soft_engine(place / "engine"), place)


@pytest.fixture(scope="module")
def rounds(ground: Ground, damaged: list[Mutant]) -> list[Round]:
    starts = range(0, len(damaged), A_ROUND)
    return [play(ground, damaged[k : k + A_ROUND], k // A_ROUND) for k in starts]


@pytest.fixture(scope="module")
def campaign(ground: Ground, dose: Dose, damaged: list[Mutant]) -> Campaign:
    goods = list(ground.goods.values())
    files = {scattered(f"mutant {m.k}"): m.content for m in damaged[: KILLED_OVER // 10]}
    files |= {scattered(f"copy {k}"): goods[k % len(goods)] for k in range(KILLED_OVER)}
    place = ground.place / "kills"
    folder = write_folder(place / "images", files)
    options = ("--batch-size", "4")
    command = Command(folder, place / "p.csv", ground.engine, place / "scratch", options)
    return kill_and_resume(command, dose.seed, dose.kills)


def test_most_damaged_files_pass_the_byte_check_and_reach_the_fast_lane(
    damaged: list[Mutant],
) -> None:
    passed = sum(passes_byte_check(m.content) for m in damaged)
    assert passed > len(damaged) / 2


def test_no_damaged_file_costs_a_file_its_row_or_gives_it_another_ones(
    rounds: list[Round],
) -> None:
    wrong = [found for played in rounds for found in played.wrong]
    assert wrong == []
    assert all(played.verdict.clean for played in rounds)


def test_scored_rows_are_recognised_by_a_second_way_from_bytes_to_probabilities(
    rounds: list[Round],
) -> None:
    recognised = sum(len(played.verdict.identified) for played in rounds)
    others = sum(
        len(played.verdict.look_alike) + len(played.verdict.decoders_differ) for played in rounds
    )
    assert recognised > 0.95 * (recognised + others)


def test_a_killed_run_goes_on_to_the_very_table_of_an_uninterrupted_one(
    campaign: Campaign, dose: Dose
) -> None:
    assert (campaign.lost, campaign.duplicated, campaign.differing) == (0, 0, 0)
    # The rest found a run that was faster than they were.
    assert len(campaign.inside) > dose.kills / 2
    assert len(campaign.kills) >= dose.kills


def test_a_killed_run_leaves_no_process_and_in_the_end_no_file_behind(campaign: Campaign) -> None:
    assert campaign.orphans == 0
    assert campaign.left_behind == 0


def test_no_other_user_can_read_a_journal(campaign: Campaign) -> None:
    assert campaign.exposed == 0
