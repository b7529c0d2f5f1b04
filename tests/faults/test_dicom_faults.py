"""A damaged or hostile DICOM file has its rows, and no value of its header is in any output.

A small part of ``benchmarks/dicom_faults.py``.
"""

from pathlib import Path

import pytest

from tests.faults.dicom_damage import KINDS, DicomFile, damaged_file
from tests.faults.dicom_rounds import Played, leaks, play
from tests.faults.soft_engine import write_soft_engine

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")


@pytest.fixture(scope="module")
def damaged() -> list[DicomFile]:
    return [damaged_file(0, k) for k in range(len(KINDS))]


@pytest.fixture(scope="module")
def played(damaged: list[DicomFile], tmp_path_factory: pytest.TempPathFactory) -> Played:
    place = tmp_path_factory.mktemp("dicom")
    engine = write_soft_engine(place / "engine")
    return play(damaged, [], engine, place / "round", (8,), is_stopped=False)


def test_every_kind_of_damage_comes_up_and_is_the_same_again(damaged: list[DicomFile]) -> None:
    assert {file.kind for file in damaged} == {damage.__name__ for damage, _ in KINDS}
    assert [damaged_file(0, k) for k in range(5)] == damaged[:5]


def test_damaged_files_keep_their_rows_and_their_secrets(played: Played) -> None:
    assert {what: count for what, count in played.wrong.items() if count} == {}, played
    assert played.by_kind["cut", "failed"]
    assert played.searched > 1000


def test_a_value_in_an_output_is_found(tmp_path: Path) -> None:
    said = tmp_path / "said"
    said.write_text("reason: ends at XXQZJVKWYQZ of patient 917Y")
    assert [found["value"] for found in leaks(["QZJVKWYQ", "917Y", "YWKVJZQX"], [said])] == [
        "QZJVKWYQ",
        "917Y",
    ]
