"""A file that lacks a part is never scored; its intact twin always is.

The short dose runs with all tests, ``HAMBATCH_FAULT_ABSENCES`` gives a longer one, and
``benchmarks/faults.py`` the longest.
"""

import pytest

from tests.faults.absences import FORMATS, KINDS, Absence, Noticed, absences, score_absences
from tests.faults.dose import Dose, dose_from_environment
from tests.faults.soft_engine import write_soft_engine


@pytest.fixture(scope="module")
def dose() -> Dose:
    return dose_from_environment()


@pytest.fixture(scope="module")
def made(dose: Dose) -> list[Absence]:
    return absences(dose.seed, dose.absences)


@pytest.fixture(scope="module")
def noticed(made: list[Absence], tmp_path_factory: pytest.TempPathFactory) -> Noticed:
    place = tmp_path_factory.mktemp("absences")
    return score_absences(made, write_soft_engine(place / "engine"), place / "run")


def test_every_format_that_is_read_has_its_absences() -> None:
    from hambatch.pipelines.formats import table
    from hambatch.sources.content import SUPPORTED

    # A HEIF that names no codec in its header is a HEIC or an AVIF inside.
    assert FORMATS.keys() == SUPPORTED | {"dicom"} | table.FORMATS.keys() - {"heif"}


def test_every_kind_comes_up_and_is_the_same_again(dose: Dose, made: list[Absence]) -> None:
    assert {a.kind for a in made} == {f"{name}_{leave.__name__}" for name, leave in KINDS}
    assert absences(dose.seed, 30) == made[:30]


def test_a_table_that_decoders_know_by_heart_is_not_missing(made: list[Absence]) -> None:
    standard = {"baseline", "restart", "component by component"}
    assert not [a for a in made if "huffman" in a.kind and a.encoding in standard]


def test_no_file_that_lacks_a_part_is_scored(noticed: Noticed) -> None:
    assert [(a.k, a.kind, a.encoding, a.missing) for a in noticed.scored] == []


def test_every_intact_twin_is_scored(noticed: Noticed) -> None:
    assert noticed.twins
    assert noticed.twins_failed == []
