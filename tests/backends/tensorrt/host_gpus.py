"""GPUs made of host memory, for whole commands: in every process, the workers among them.

``host_gpu_doubles.py`` says what stands in for what, and which variables set it. It is a module
of its own, as every worker imports it: none needs pytest.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.backends.tensorrt.host_gpu_doubles import FAULTS, install
from tests.conftest import REPOSITORY


@pytest.fixture
def host_gpus(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Let this process and all that it starts find GPUs of host memory."""
    with gpus_of_host_memory(tmp_path_factory, monkeypatch):
        yield


@contextmanager
def gpus_of_host_memory(
    tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Do what :func:`host_gpus` does; faults are set, through ``patch``, while it lasts."""
    place = tmp_path_factory.mktemp("host_gpus")
    patch.setenv("HOST_GPU_FIRED", str(place))
    (place / "sitecustomize.py").write_text(
        "from tests.backends.tensorrt.host_gpu_doubles import install\ninstall(setattr)\n"
    )
    patch.setenv("PYTHONPATH", os.pathsep.join([str(place), str(REPOSITORY)]))
    install(patch.setattr)
    yield
    left = {name for name in FAULTS if os.environ.get(name)}
    assert not left or (place / "fired").exists(), f"{left}: the fault did not fire"
