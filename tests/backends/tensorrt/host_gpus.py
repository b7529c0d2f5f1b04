"""GPUs made of host memory, for whole commands: in every process, the workers among them.

What a machine with GPUs has is there: a driver that names them, a kept plan for each
precision, DALI's ``mixed`` lane (the CPU's, whose batches lie "on the device"), and the
``tensorrt`` backend on host memory that fails on misuse (``host_memory.py``).
All else is the real code. Rows are those of the CPU path: the plan is the ONNX, run by OpenVINO.

Variables of the environment:

HOST_GPUS           how many there are; default 2
HOST_GPU_FAILS      ``1:3``: GPU 1 fails at its third request of every process;
                    ``*:3``: each does; ``1:3:kill``: its process dies of SIGABRT then;
                    ``1:3:hang``: it never returns; ``1:close``: it fails as it is released;
                    ``1:load``: its engine is refused; ``1:import``: its process ends
                    with an ImportError
HOST_GPU_CRASHES_AT SHA-256 of files: decoding one on a GPU kills the process
HOST_CPU_CRASHES_AT likewise, on the CPU
HOST_GPU_WRONG      ``1``: GPU 1 gives wrong scores
HOST_GPU_BUILDS     ``refused``: no plan is kept

A test whose fault never fires shows nothing, and fails.
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
