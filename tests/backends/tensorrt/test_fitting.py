"""Where a GPU's memory is short, requests are smaller, and the rows say so."""

from pathlib import Path

import numpy as np
import pytest

from hambatch.backends.tensorrt.backend import fitting_backend
from hambatch.engines.loading import Engine, load_engine
from hambatch.errors import OutOfMemory
from tests.backends.contract import pictures, scores
from tests.backends.tensorrt.host_engine import HostEngine, form_of
from tests.backends.tensorrt.host_memory import HostDevice
from tests.backends.tensorrt.on_host import OnHost


@pytest.fixture(scope="module")
def tiny(tiny_engine: Path) -> Engine:
    return load_engine(tiny_engine)


def needed(tiny: Engine, size: int, slots: int = 2) -> int:
    """Bytes of device memory that slots take."""
    made = OnHost(tiny, size=size, slots=slots)
    taken = (1 << 40) - made.device._left
    made.backend.close()
    return taken


def test_where_memory_is_short_requests_are_halved_and_the_rows_say_so(tiny: Engine) -> None:
    images = pictures(11)
    device = HostDevice(memory=needed(tiny, 5))
    engine = HostEngine(device, tiny)
    backend = fitting_backend("tensorrt-fp16", device, engine.make_context, form_of(tiny, 16), 2)
    assert backend.name == "tensorrt-fp16-b4"
    assert backend.note == "requests hold 4 images, not 16: the GPU's memory is full"
    wanted = OnHost(tiny)
    np.testing.assert_array_equal(scores(backend, images), scores(wanted.backend, images))
    backend.close()
    wanted.backend.close()


def test_where_memory_is_enough_nothing_is_said(tiny: Engine) -> None:
    device = HostDevice(memory=needed(tiny, 16))
    engine = HostEngine(device, tiny)
    backend = fitting_backend("tensorrt-fp16", device, engine.make_context, form_of(tiny, 16), 2)
    assert (backend.name, backend.note) == ("tensorrt-fp16", "")
    backend.close()


def test_where_not_even_one_image_fits_it_is_an_error_and_nothing_is_kept(tiny: Engine) -> None:
    device = HostDevice(memory=needed(tiny, 1) - 1)
    engine = HostEngine(device, tiny)
    with pytest.raises(OutOfMemory):
        fitting_backend("tensorrt-fp16", device, engine.make_context, form_of(tiny, 16), 2)
    device.close()
