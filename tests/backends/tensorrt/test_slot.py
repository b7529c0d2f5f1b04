"""A slot holds one request; without memory, or before its start, it fails."""

from pathlib import Path

import pytest

from hambatch.backends.tensorrt.slot import Slot
from hambatch.engines.loading import load_engine
from hambatch.errors import OutOfMemory
from tests.backends.tensorrt.host_engine import HostEngine, form_of
from tests.backends.tensorrt.host_memory import HostDevice


@pytest.mark.parametrize("left", [0, 602_112, 634_992, 639_087])
def test_a_slot_that_does_not_fit_leaves_nothing_behind(tiny_engine: Path, left: int) -> None:
    """639,088 bytes are needed: for images, two outputs and the scratch memory."""
    engine = load_engine(tiny_engine)
    device = HostDevice(memory=left)
    with device.current(), pytest.raises(OutOfMemory):
        Slot(device, HostEngine(device, engine).make_context, form_of(engine, 4))
    device.close()


def test_rows_of_a_request_that_was_never_started_are_refused(tiny_engine: Path) -> None:
    engine = load_engine(tiny_engine)
    device = HostDevice()
    with device.current():
        slot = Slot(device, HostEngine(device, engine).make_context, form_of(engine, 4))
        with pytest.raises(RuntimeError, match="before it was started"):
            slot.finish()
        slot.close()
    device.close()
