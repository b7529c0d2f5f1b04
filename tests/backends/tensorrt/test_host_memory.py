"""The host-memory device fails at every mistake that a GPU would not report."""

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hambatch.backends.tensorrt.slot import Slot
from hambatch.engines.loading import load_engine
from tests.backends.contract import pictures
from tests.backends.tensorrt.host_engine import HostEngine, form_of
from tests.backends.tensorrt.host_memory import HostDevice
from tests.backends.tensorrt.host_stream import HostStream
from tests.backends.tensorrt.ordering import Fault

SIZE = 1024


@pytest.fixture
def device() -> Iterator[HostDevice]:
    made = HostDevice()
    with made.current():
        yield made


@pytest.fixture
def stream(device: HostDevice) -> HostStream:
    return device.stream()


@pytest.fixture
def slot(device: HostDevice, tiny_engine: Path) -> Slot:
    engine = load_engine(tiny_engine)
    return Slot(device, HostEngine(device, engine).make_context, form_of(engine, 4))


def some(size: int = SIZE) -> np.ndarray:
    return np.ones(size, np.uint8)


class Forgetful(list[object]):
    """Keeps nothing alive."""

    def append(self, kept: object) -> None:
        pass


def test_what_is_right_goes_through_and_arrives(device: HostDevice, stream: HostStream) -> None:
    here, there, back = device.allocate(SIZE), device.allocate(SIZE), device.pinned((SIZE // 4,))
    source = np.arange(SIZE // 4, dtype=np.float32)
    sent = source.view(np.uint8)
    stream.copy_to_device(here, sent)
    stream.clear(here, 8)
    other = device.stream()
    other.wait_for(stream.record())
    other.copy_on_device(there, here, SIZE)
    other.copy_to_host(back, there)
    other.record().wait()
    assert back.read().tolist() == [0, 0, *source[2:].tolist()]
    stream.synchronize()
    for pointer in (here, there):
        device.free(pointer)
    for thing in (stream, other):
        thing.close()
    back.free()
    device.close()


def test_a_freed_pointer_is_a_fault(device: HostDevice, stream: HostStream) -> None:
    pointer = device.allocate(SIZE)
    device.free(pointer)
    with pytest.raises(Fault, match="used after it was freed"):
        stream.copy_to_device(pointer, some())
    with pytest.raises(Fault, match="used after it was freed"):
        device.free(pointer)


def test_a_pointer_that_was_never_allocated_is_a_fault(stream: HostStream) -> None:
    with pytest.raises(Fault, match="0x10 was never allocated"):
        stream.clear(0x10, 1)


def test_a_copy_of_the_wrong_size_is_a_fault(device: HostDevice, stream: HostStream) -> None:
    pointer = device.allocate(SIZE)
    with pytest.raises(Fault, match="out of bounds: 1025 bytes, where 1024 are left"):
        stream.copy_to_device(pointer, some(SIZE + 1))
    with pytest.raises(Fault, match="out of bounds: 1024 bytes, where 1023 are left"):
        stream.copy_on_device(pointer, pointer + 1, SIZE)
    with pytest.raises(Fault, match="out of bounds"):
        stream.copy_to_host(device.pinned((SIZE,)), pointer)


def test_an_output_that_is_too_small_is_a_fault(device: HostDevice, slot: Slot) -> None:
    with pytest.raises(Fault, match="out of bounds: 112 bytes, where 64 are left"):
        slot._context.set_tensor_address("logits", device.allocate(64))


def test_an_address_that_is_not_aligned_is_a_fault(device: HostDevice, slot: Slot) -> None:
    with pytest.raises(Fault, match="not aligned to 256 bytes"):
        slot._context.set_tensor_address("logits", device.allocate(SIZE) + 128)


def test_memory_that_another_stream_still_writes_is_a_fault(
    device: HostDevice, stream: HostStream
) -> None:
    pointer, other = device.allocate(SIZE), device.stream()
    stream.clear(pointer, SIZE)
    with pytest.raises(Fault, match="overwritten before the event behind its last write"):
        other.clear(pointer, SIZE)
    with pytest.raises(Fault, match="read before the event behind its last write"):
        other.copy_on_device(device.allocate(SIZE), pointer, SIZE)
    other.wait_for(stream.record())
    other.clear(pointer, SIZE)


def test_memory_that_another_stream_still_reads_is_a_fault(
    device: HostDevice, stream: HostStream
) -> None:
    pointer, other = device.allocate(SIZE), device.stream()
    stream.copy_on_device(device.allocate(SIZE), pointer, SIZE)
    with pytest.raises(Fault, match="reused before the event behind its last read"):
        other.clear(pointer, SIZE)
    stream.record().wait()
    other.clear(pointer, SIZE)


def test_memory_that_is_freed_while_in_use_is_a_fault(
    device: HostDevice, stream: HostStream
) -> None:
    pointer = device.allocate(SIZE)
    stream.clear(pointer, SIZE)
    with pytest.raises(Fault, match="before the event"):
        device.free(pointer)
    stream.synchronize()
    device.free(pointer)


def test_page_locked_memory_read_before_its_event_is_a_fault(
    device: HostDevice, stream: HostStream
) -> None:
    pinned = device.pinned((SIZE // 4,))
    stream.copy_to_host(pinned, device.allocate(SIZE))
    event = stream.record()
    with pytest.raises(Fault, match="read before the event behind its last write"):
        pinned.read()
    event.wait()
    assert np.isfinite(pinned.read()).all()


def test_rows_that_are_overwritten_before_they_are_read_are_faults(
    device: HostDevice, stream: HostStream
) -> None:
    pinned, pointer = device.pinned((SIZE // 4,)), device.allocate(SIZE)
    stream.copy_to_host(pinned, pointer)
    with pytest.raises(Fault, match="overwritten before it was read"):
        stream.copy_to_host(pinned, pointer)


def test_the_default_stream_is_a_fault(slot: Slot) -> None:
    slot.add(pictures(4), 0, 4)
    with pytest.raises(Fault, match="default stream"):
        slot._context.execute_async_v3(0)


def test_work_on_a_thread_without_the_context_is_a_fault(
    device: HostDevice, stream: HostStream
) -> None:
    faults: list[BaseException] = []
    pointer = device.allocate(SIZE)

    def elsewhere() -> None:
        try:
            stream.clear(pointer, SIZE)
        except Fault as fault:
            faults.append(fault)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "without the device's context" in str(faults[0])


def test_whatever_is_leaked_at_close_is_a_fault(device: HostDevice) -> None:
    device.allocate(SIZE)
    device.pinned((3,))
    device.stream()
    wanted = "leaked: 1024 bytes of device memory, 12 bytes of page-locked memory, 1 streams"
    with pytest.raises(Fault, match=wanted):
        device.close()


def test_a_stream_that_is_closed_at_work_is_a_fault(device: HostDevice, stream: HostStream) -> None:
    stream.clear(device.allocate(SIZE), SIZE)
    with pytest.raises(Fault, match="closed with work that was not waited for"):
        stream.close()


def test_one_context_on_two_streams_at_once_is_a_fault(device: HostDevice, slot: Slot) -> None:
    slot.add(pictures(4), 0, 4)
    slot.start()
    with pytest.raises(Fault, match="before the event"):
        slot._context.execute_async_v3(device.stream().handle)


def test_pixels_that_are_not_there_yet_are_faults(device: HostDevice, slot: Slot) -> None:
    decoder = device.stream()
    decoder.clear(device.allocate(SIZE), SIZE)
    images = device.decoded(pictures(4), ready=decoder.record())
    slot.add(images, 0, 3)  # waits for them
    decoder.clear(device.allocate(SIZE), SIZE)
    later = device.decoded(pictures(1), ready=decoder.record())
    slot._stream.wait_for = lambda event: None  # type: ignore[method-assign, attr-defined]
    with pytest.raises(Fault, match="read before the event behind its last write"):
        slot.add(later, 0, 1)


@pytest.mark.parametrize("where", ["host", "device"])
def test_images_that_are_let_go_too_early_are_faults(
    device: HostDevice, slot: Slot, where: str
) -> None:
    def one_request(kept: list[object]) -> None:
        slot._kept = kept
        images = pictures(4) if where == "host" else device.decoded(pictures(4))
        slot.add(images, 0, 4)
        slot.start()

    one_request([])
    slot.finish()

    def careless() -> None:
        one_request(Forgetful())
        slot.finish()
        slot.add(pictures(1), 0, 1)

    with pytest.raises(Fault, match="let go before the event behind its last read"):
        careless()
