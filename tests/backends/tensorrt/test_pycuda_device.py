"""What the backend relies on, on every device: PyCUDA's, its stand-in's, and host memory's."""

import json
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from hambatch.backends.tensorrt.device import ALIGNMENT, Device
from hambatch.backends.tensorrt.pycuda_device import PyCudaDevice
from hambatch.errors import BackendError, DeviceLost, MissingDependency, OutOfMemory
from tests.backends.tensorrt import stand_in_driver
from tests.backends.tensorrt.host_memory import HostDevice
from tests.backends.tensorrt.real import real_device
from tests.backends.tensorrt.stand_in_driver import stand_in
from tests.conftest import REPOSITORY

LISTING = REPOSITORY / "tools" / "pycuda_api.json"

REAL = pytest.param("gpu", marks=pytest.mark.gpu)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> stand_in_driver.Card:
    """A PyCUDA whose card is host memory."""
    card = stand_in_driver.Card()
    for name, module in stand_in(card).items():
        monkeypatch.setitem(sys.modules, name, module)
    return card


@pytest.fixture(params=["host", "stand-in", REAL])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    made: Device
    if request.param == "gpu":
        made = real_device()
    elif request.param == "host":
        made = HostDevice()
    else:
        request.getfixturevalue("driver")
        made = PyCudaDevice(0)
    yield made
    made.close()


def test_bytes_go_there_and_back(device: Device) -> None:
    with device.current():
        stream, other = device.stream(), device.stream()
        here, there = device.allocate(4000), device.allocate(4000)
        back = device.pinned((10, 100))
        wanted = np.arange(1000, dtype=np.float32)
        source = wanted.view(np.uint8)
        stream.copy_to_device(here, source)
        stream.clear(here + 400, 400)
        ready = stream.record()
        other.wait_for(ready)
        other.copy_on_device(there, here, 4000)
        other.copy_to_host(back, there)
        done = other.record()
        done.wait()
        assert done.has_passed()
        assert ready.has_passed()
        wanted[100:200] = 0
        np.testing.assert_array_equal(back.read(), wanted.reshape(10, 100))
        stream.synchronize()
        for pointer in (here, there):
            assert pointer % ALIGNMENT == 0
            device.free(pointer)
        back.free()
        for used in (stream, other):
            used.close()


def test_streams_have_handles_of_their_own(device: Device) -> None:
    with device.current():
        streams = [device.stream() for _ in range(3)]
        assert len({0, *(stream.handle for stream in streams)}) == 4
        for stream in streams:
            stream.close()


def test_more_memory_than_there_is_is_refused_and_less_still_goes(device: Device) -> None:
    with device.current():
        with pytest.raises(OutOfMemory):
            device.allocate(1 << 50)
        device.free(device.allocate(1 << 10))


def test_a_context_is_popped_whatever_happens(driver: stand_in_driver.Card) -> None:
    device = PyCudaDevice(0)

    def fail() -> None:
        with device.current(), device.current():
            assert driver.depth == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert driver.depth == 0
    device.close()
    device.close()
    assert driver.released == 1
    with pytest.raises(BackendError, match="after it was closed"), device.current():
        pass


def test_every_error_of_the_driver_names_what_was_done(driver: stand_in_driver.Card) -> None:
    device = PyCudaDevice(0)
    with device.current():
        stream, pointer = device.stream(), device.allocate(64)
        pinned, event = device.pinned((16,)), stream.record()
        driver.broken = "an illegal memory access was encountered"
        for used in (
            event.wait,
            event.has_passed,
            stream.record,
            stream.synchronize,
            lambda: stream.wait_for(event),
            lambda: stream.clear(pointer, 64),
            lambda: stream.copy_to_device(pointer, np.zeros(64, np.uint8)),
            lambda: stream.copy_on_device(pointer, pointer, 64),
            lambda: stream.copy_to_host(pinned, pointer),
            lambda: device.free(pointer),
        ):
            with pytest.raises(DeviceLost, match=r"illegal memory.*\nNext: .*--backend openvino"):
                used()


def test_a_missing_pycuda_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(MissingDependency, match=r"hambatch\[gpu\]"):
        PyCudaDevice(0)


def test_the_stand_in_has_no_name_that_pycuda_lacks() -> None:
    listing = json.loads(LISTING.read_text())["modules"]
    module = stand_in(stand_in_driver.Card())["pycuda.driver"]
    for name, value in vars(module).items():
        if name.startswith("_"):
            continue
        assert name in listing["pycuda.driver"], name
        if isinstance(value, type):
            own = {member for member in vars(value) if not member.startswith("_")}
            assert own <= set(listing["pycuda.driver"][name]), name
