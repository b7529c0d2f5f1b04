"""A GPU is told with what is documented of its JPEG engine, and no more."""

import pytest

from hambatch.checks.doctor.findings import BROKEN, MISSING, USABLE, findings, jpeg_engine
from hambatch.system.gpus import Gpu, Probe


def card(*capability: int) -> Gpu:
    return Gpu(0, "a card", capability, 2**34, "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("capability", "says"),
    [
        ((7, 5), "none documented"),
        ((8, 0), "documented for Ampere (A100, A30)"),
        ((8, 6), "none documented"),
        ((8, 9), "documented for Ada"),
        ((9, 0), "documented for Hopper"),
        ((10, 3), "documented for Blackwell"),
        ((12, 0), "documented for Blackwell"),
        ((13, 0), "not known of so new a GPU"),
    ],
)
def test_the_jpeg_engine_is_as_documented(capability: tuple[int, int], says: str) -> None:
    said = jpeg_engine(card(*capability))
    assert says in said
    assert "hambatch bench pipeline" in said


def test_a_usable_driver_is_told_with_its_gpus() -> None:
    driver, gpu = findings(Probe("550.54.15", 12040, (card(9, 0),), "", ""))
    assert (driver.state, driver.version, driver.about) == (USABLE, "550.54.15", "runs CUDA 12.4")
    assert (gpu.part, gpu.name, gpu.state) == ("gpu 0", "a card (gpu 0)", USABLE)
    assert gpu.about.startswith("compute capability 9.0, 16 GiB; ")


def test_no_driver_is_missing_and_a_faulty_one_is_broken() -> None:
    (absent,) = findings(Probe("", 0, (), "no libcuda.so.1", "install it", absent=True))
    assert (absent.state, absent.why, absent.next) == (MISSING, "no libcuda.so.1", "install it")
    (old,) = findings(Probe("470.1", 11040, (card(9, 0),), "too old", "install a newer one"))
    assert (old.state, old.version, old.why) == (BROKEN, "470.1", "too old")
