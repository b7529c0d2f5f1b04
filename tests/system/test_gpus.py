"""The driver is probed without a package and without a risk, and a GPU is found by its number."""

from pathlib import Path

import pytest

from hambatch.errors import BackendError
from hambatch.system.gpus import Gpu, Probe, chosen_gpu, probe_gpus

A10 = Gpu(0, "NVIDIA A10", (8, 6), 22 * 2**30, "28" * 16)
H100 = Gpu(1, "NVIDIA H100 PCIe", (9, 0), 79 * 2**30, "29" * 16)


@pytest.fixture
def driver(driver_stub: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return driver_stub


def test_a_healthy_card_is_described(driver: str) -> None:
    found = probe_gpus(driver, driver)
    assert found == Probe("550.54.15", 12040, (A10,), "", "")
    assert found.usable


def test_two_cards_are_numbered_as_cuda_does(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_GPUS", "2")
    assert probe_gpus(driver, driver).gpus == (A10, H100)


def test_without_a_driver_there_is_no_gpu_and_no_fault() -> None:
    found = probe_gpus("libno_such_driver.so.1")
    assert (found.usable, found.absent, found.gpus) == (False, True, ())
    assert found.problem == "no libno_such_driver.so.1: no NVIDIA driver is installed"
    assert "install NVIDIA's driver" in found.next


def test_a_library_that_is_none_is_a_fault(tmp_path: Path) -> None:
    library = tmp_path / "libcuda.so.1"
    library.touch()  # container runtimes have left such files
    found = probe_gpus(str(library))
    assert not found.absent
    assert "cannot be loaded" in found.problem
    assert "file too short" in found.problem


@pytest.mark.parametrize(
    ("error", "problem", "what_next"),
    [
        ("2", "out of memory", "nvidia-smi"),
        ("34", "stub", "LD_LIBRARY_PATH"),
        ("35", "too old", "install a newer"),
        ("46", "has it for itself", "nvidia-smi"),
        ("100", "the driver finds no GPU", "--gpus all"),
        ("802", "not ready", "nvidia-fabricmanager"),
        ("803", "different versions", "restart the machine"),
        ("804", "forward compatibility", "LD_LIBRARY_PATH"),
        ("999", "nvidia_uvm", "modprobe"),
        ("777", "error 777", "nvidia-smi"),
    ],
)
def test_a_driver_that_refuses_is_explained(
    driver: str, monkeypatch: pytest.MonkeyPatch, error: str, problem: str, what_next: str
) -> None:
    monkeypatch.setenv("STUB_INIT", error)
    found = probe_gpus(driver, driver)
    assert not found.usable
    assert problem in found.problem
    assert what_next in found.next
    assert (found.driver, found.cuda, found.absent) == ("550.54.15", 12040, False)


def test_hidden_gpus_are_told_by_what_hides_them(
    driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_INIT", "100")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    found = probe_gpus(driver, driver)
    assert found.problem == "no GPU is visible: CUDA_VISIBLE_DEVICES is '-1'"
    assert found.next == "unset CUDA_VISIBLE_DEVICES"


def test_a_count_of_none_is_no_gpu(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_GPUS", "0")
    assert probe_gpus(driver, driver).problem == "the driver finds no GPU"


def test_a_driver_older_than_cuda_12_is_refused_with_both_versions(
    driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_CUDA", "11040")
    found = probe_gpus(driver, driver)
    assert found.problem == "the driver is too old: it runs CUDA 11.4, wanted 12.0 or newer"
    assert "525" in found.next


def test_a_crash_of_the_driver_is_an_answer(driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_CRASH", "1")
    found = probe_gpus(driver, driver)
    assert not found.usable
    assert "died of signal 11 (Segmentation fault)" in found.problem
    assert found.cuda == 12040  # what it said before is kept


def test_a_driver_that_hangs_costs_its_time_and_no_more(
    driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_HANG", "1")
    # It hangs for ever: that this test ends shows the rest.
    found = probe_gpus(driver, driver, seconds=1)
    assert "gave no answer in 1 s" in found.problem


def test_an_error_between_the_questions_is_named(
    driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_COUNT_ERROR", "3")
    assert "cuDeviceGetCount gave error 3" in probe_gpus(driver, driver).problem


@pytest.mark.parametrize("fault", ["STUB_NVML_CRASH", "STUB_NVML_HANG"])
def test_a_broken_management_library_hides_no_gpu(
    driver: str, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setenv(fault, "1")
    found = probe_gpus(driver, driver, seconds=2)
    assert (found.usable, found.gpus, found.driver) == (True, (A10,), "")


def test_a_container_may_lack_the_management_library(driver: str) -> None:
    assert probe_gpus(driver, "libno_such_library.so.1").usable


def test_a_machine_without_a_gpu_says_what_to_type() -> None:
    probe = Probe("", 0, (), "no NVIDIA driver was found", "hambatch doctor")
    with pytest.raises(BackendError, match=r"(?s)no NVIDIA driver.*Next: hambatch doctor"):
        chosen_gpu(probe, 0)


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are() -> None:
    healthy = Probe("580.1", 12040, (A10,), "", "")
    assert chosen_gpu(healthy, 0) is A10
    with pytest.raises(BackendError, match=r"no GPU 3 here; there is: 0 \(NVIDIA A10\)"):
        chosen_gpu(healthy, 3)
