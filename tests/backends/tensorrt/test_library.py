"""Without a usable GPU or TensorRT nothing is created, and one message says what to do."""

import sys
from pathlib import Path

import pytest

from hambatch.backends.tensorrt.library import find_target, refuse_old, tensorrt_module
from hambatch.errors import BackendError, MissingDependency
from hambatch.system.gpus import Probe
from tests.backends.tensorrt.plans.rtx import CARD

HEALTHY = Probe("580.1", 12040, (CARD,), "", "")


@pytest.mark.parametrize("version", ["11.3.9", "10.16.1.11", "8.6.1", "9"])
def test_an_older_tensorrt_is_refused(version: str) -> None:
    with pytest.raises(BackendError, match=rf"TensorRT {version} is installed, wanted 11.4"):
        refuse_old(version)


@pytest.mark.parametrize("version", ["11.4.0.106", "11.10", "12.0"])
def test_later_ones_are_taken(version: str) -> None:
    refuse_old(version)


def install(folder: Path, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package named tensorrt first on the path."""
    (folder / "tensorrt.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)


def test_bindings_without_libraries_are_told_from_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say = "libnvinfer.so.11: cannot open shared object file"
    install(tmp_path, f"raise ImportError({say!r})", monkeypatch)
    with pytest.raises(BackendError, match=r"(?s)does not load: libnvinfer.*hambatch doctor"):
        tensorrt_module()


def test_an_old_one_that_is_installed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "__version__ = '10.9.0'", monkeypatch)
    with pytest.raises(BackendError, match=r"TensorRT 10.9.0"):
        tensorrt_module()


def test_none_at_all_names_the_pip_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "raise ModuleNotFoundError(\"No module named 'tensorrt'\", name='tensorrt')"
    install(tmp_path, source, monkeypatch)
    with pytest.raises(MissingDependency, match=r"pip install 'hambatch\[gpu\]'"):
        tensorrt_module()


def test_with_a_gpu_a_target_names_all_that_a_key_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hambatch.system.gpus.probe_gpus", lambda: HEALTHY)
    install(tmp_path, "__version__ = '11.4.0.106'", monkeypatch)
    target = find_target(0)
    assert (target.tensorrt, target.driver, target.capability) == ("11.4.0.106", "580.1", "8.9")
    assert target.cuda == 12040
    assert target.gpu is CARD
