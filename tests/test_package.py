"""The package imports without its heavy parts, and its public names are few."""

import configparser
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import hambatch
from hambatch.errors import MissingDependency
from hambatch.system.packages import require
from tests.waiting import HANGS_S

BLOCK = """
import importlib, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
for name in {modules!r}:
    importlib.import_module(name)
"""


def test_every_module_imports_without_the_heavy_packages() -> None:
    heavy = {"nvidia", "openvino", "tensorflow", "keras", "onnx", "tf2onnx", "matplotlib", "h5py"}
    # pandas itself imports pyarrow where it is installed, and does without where it is not.
    heavy |= {"pyarrow", "tensorrt", "pycuda", "cryptography"}
    walked = pkgutil.walk_packages(hambatch.__path__, "hambatch.")
    modules = [m.name for m in walked if not m.name.endswith("__main__")]
    assert len(modules) > 30
    code = BLOCK.format(heavy=heavy, modules=modules)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=HANGS_S
    )
    assert done.returncode == 0, done.stderr


def test_the_wheel_carries_every_package() -> None:
    checkout = Path(__file__).parent.parent
    read = configparser.ConfigParser()
    read.read(checkout / "setup.cfg")
    listed = set(read["options"]["packages"].split()) - {"hambatch.default_engines"}
    walked = pkgutil.walk_packages([str(checkout / "hambatch")], "hambatch.")
    assert listed == {"hambatch", *(module.name for module in walked if module.ispkg)}


def test_the_wheel_carries_every_template() -> None:
    checkout = Path(__file__).parent.parent
    read = configparser.ConfigParser()
    read.read(checkout / "setup.cfg")
    data = read["options.package_data"]
    templates = [*checkout.glob("hambatch/**/*.html"), *checkout.glob("hambatch/**/*.jinja")]
    assert templates
    for template in templates:
        package = ".".join(template.parent.relative_to(checkout).parts)
        assert any(template.match(pattern) for pattern in data[package].split(", "))


def test_public_names_are_these() -> None:
    assert sorted(hambatch.__all__) == [
        "BackendError",
        "CLASSES",
        "EngineError",
        "HambatchError",
        "InputError",
        "MALIGNANT",
        "MissingDependency",
        "Row",
        "Scorer",
        "read_table",
        "score",
    ]


def test_a_missing_package_names_the_pip_line() -> None:
    with pytest.raises(MissingDependency, match=r"pip install 'hambatch\[train\]'"):
        require("no_such_package.part", extra="train", purpose="hambatch train")
