"""Where a run computes is settled before it starts, and a wish that cannot be met is refused."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from hambatch.errors import BackendError, InputError
from hambatch.score import plan as placement
from hambatch.score.plan import numbers_in, place
from hambatch.system.gpus import Gpu, Probe

ONE = Gpu(0, "NVIDIA A", (8, 9), 1 << 34, "")
TWO = replace(ONE, ordinal=1)
OTHER = Gpu(2, "NVIDIA B", (9, 0), 1 << 34, "")
THREE = Probe("580.1", 13000, (ONE, TWO, OTHER), "", "")
NONE = Probe("", 0, (), "no NVIDIA driver is installed", "hambatch doctor", absent=True)


def three() -> Probe:
    return THREE


def never() -> Probe:
    raise AssertionError("the driver was asked")


@pytest.fixture
def all_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "_is_installed", lambda package: True)


@pytest.mark.usefixtures("all_packages")
def test_auto_takes_the_first_gpu_that_can_be_used_else_the_cpu_and_says_why() -> None:
    found = place("auto", "auto", three)
    assert (found.backend, found.device, found.why) == ("tensorrt", "0", "NVIDIA A")
    found = place("auto", "auto", lambda: NONE)
    assert (found.backend, found.device) == ("openvino", "cpu")
    assert found.why == "no NVIDIA driver is installed"


def test_auto_without_the_packages_asks_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "_is_installed", lambda package: package != "pycuda")
    found = place("auto", "auto", never)
    assert (found.backend, found.why) == ("openvino", "pycuda is not installed")


@pytest.mark.parametrize(
    ("device", "backend", "wanted"),
    [
        ("cpu", "auto", ("openvino", "cpu")),
        ("auto", "openvino", ("openvino", "cpu")),
        ("auto", "keras", ("keras", "cpu")),
        ("cpu", "keras", ("keras", "cpu")),
        ("gpu", "auto", ("tensorrt", "0")),
        ("gpu", "tensorrt", ("tensorrt", "0")),
        ("auto", "tensorrt", ("tensorrt", "0")),
        ("1", "auto", ("tensorrt", "1")),
        ("1,0", "auto", ("tensorrt", "1,0")),
    ],
)
def test_device_and_backend_go_together(device: str, backend: str, wanted: tuple[str, str]) -> None:
    found = place(device, backend, never if wanted[1] == "cpu" else three)
    assert (found.backend, found.device) == wanted


@pytest.mark.parametrize(
    ("device", "backend", "named"),
    [
        ("0", "openvino", "openvino backend computes on the CPU"),
        ("gpu", "keras", "keras backend computes on the CPU"),
        ("cpu", "tensorrt", "tensorrt backend computes on the GPU"),
    ],
)
def test_a_backend_is_not_sent_where_it_does_not_compute(
    device: str, backend: str, named: str
) -> None:
    with pytest.raises(InputError, match=rf"{named}[^\n]*--device {device}.\nNext: --backend"):
        place(device, backend, never)


def test_several_gpus_have_to_be_of_one_model() -> None:
    with pytest.raises(BackendError, match=r"GPU 0 is a NVIDIA A and GPU 2 a NVIDIA B"):
        place("0,2", "auto", three)


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(BackendError, match=r"no GPU 7 here; there is: 0 \(NVIDIA A\), 1"):
        place("7", "auto", three)
    with pytest.raises(BackendError, match=r"no NVIDIA driver.*\nNext: .*or --device cpu"):
        place("gpu", "auto", lambda: NONE)


@pytest.mark.parametrize("device", ["", "gpus", "0,", "0,0", "-1", "1.0", "cpu,0", "²", "9" * 5000])
def test_what_is_no_device_is_refused(device: str) -> None:
    with pytest.raises(InputError, match=r"wanted auto, cpu, gpu, or different numbers"):
        numbers_in(device)


def test_a_gpu_that_is_asked_for_and_not_there_ends_the_command_before_it_writes(tmp_path) -> None:
    images, out = tmp_path / "images", tmp_path / "rows.csv"
    command = CliRunner()
    command.invoke(hambatch, ["samples", str(images), "--count", "2"], standalone_mode=False)
    with pytest.raises(BackendError, match=r"\nNext: "):
        command.invoke(
            hambatch,
            ["score", str(images), "--out", str(out), "--device", "77"],
            catch_exceptions=False,
            standalone_mode=False,
        )
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize("command", ["score DIR --out x.csv", "parity DIR", "bench score DIR"])
def test_what_is_no_device_is_wrong_usage(command: str, tmp_path) -> None:
    arguments = [str(tmp_path) if word == "DIR" else word for word in command.split()]
    ran = CliRunner().invoke(hambatch, [*arguments, "--device", "0,0"])
    assert ran.exit_code == 2
    assert "wanted auto, cpu, gpu, or different numbers" in ran.output
