"""Installations to look at: a package whose import runs given code, and an environment of few."""

import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

from tests.conftest import REPOSITORY

EXTRAS = (
    *("tensorflow", "keras", "h5py", "onnx", "tf2onnx", "pyarrow", "matplotlib", "tensorrt"),
    *("cryptography", "pydicom", "openjpeg", "jpeg_ls", "gdcm", "highdicom", "pillow_heif"),
    *("pylibjpeg", "pyjpegls", "python_gdcm"),
)


def install(folder: Path, module: str, body: str, distribution: str = "") -> None:
    """Write a package whose import runs ``body``; pip knows it if it has a distribution."""
    (folder / module).mkdir(parents=True)
    (folder / module / "__init__.py").write_text(body)
    if distribution:
        name, version = distribution.split("==")
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        (info / "METADATA").write_text(text)


def of_the_base(name: str) -> bool:
    """What `pip install hambatch` brings, and nothing of the extras."""
    return not name.lower().startswith(EXTRAS)


def environment_of(place: Path, kept: Callable[[str], bool]) -> Path:
    """Make a virtual environment with those entries of this one's that are kept.

    Returns
    -------
    Path
        Its Python, which finds hambatch in this checkout by PYTHONPATH.
    """
    venv.create(place, symlinks=True, with_pip=False)
    theirs = next((place / "lib").glob("python3*")) / "site-packages"
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if kept(entry.name) and not entry.name.startswith(("hambatch", "__")):
            (theirs / entry.name).symlink_to(entry)
    (theirs / "hambatch.pth").write_text(f"{REPOSITORY}\n")
    return place / "bin" / "python"
