"""What is known of the packages, the GPUs and the default engine of this machine."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import NamedTuple

from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.system.gpus import INSTALL as INSTALL_DRIVER
from hambatch.system.gpus import Gpu, Probe, cuda_version, probe_gpus
from hambatch.system.packages import DISTRIBUTIONS, OLDEST
from hambatch.system.probe import run_probe

CHILDREN = "hambatch.checks.doctor.children"

SECONDS = 120.0
"""For a child process: TensorFlow alone may take twenty from a slow disk."""

USABLE, MISSING, BROKEN = "usable", "missing", "broken"

SCORING, GPU, TRAINING = "scoring", "scoring on a GPU", "training and export"
TRUTH, PARQUET, PLOTS = "evaluation and splits", "Parquet tables", "plots"
EXCEL, SEALS = "Excel tables", "seals of tables"
DICOM, HEIC = "DICOM files and reports", "HEIC images"


@dataclass(frozen=True)
class Finding:
    """A part, whether it is ``usable``, ``missing`` or ``broken``, and what needs it.

    ``part`` is the same on every machine: a module, ``engine``, ``driver``, ``gpu 0``; ``name``
    is that of a distribution, an engine, a card. ``why`` it cannot be used, in a line, and what
    to type ``next``, are empty if it can.
    """

    part: str
    name: str
    state: str
    needed_for: str
    version: str = ""
    about: str = ""
    why: str = ""
    next: str = ""

    @property
    def usable(self) -> bool:
        """Whether it is installed and works."""
        return self.state == USABLE


class Package(NamedTuple):
    """A package: how it is imported, under which names pip knows it, how it is installed.

    The first of its names is shown where none is installed. ``least`` is the oldest version that
    works, where pip does not enforce that.
    """

    module: str
    distributions: tuple[str, ...]
    needed_for: str
    install: str
    least: tuple[int, ...] = ()


FOR_SCORING = (
    Package("numpy", ("numpy",), SCORING, "pip install numpy"),
    Package("PIL.Image", ("pillow",), SCORING, "pip install pillow"),
    Package("openvino", ("openvino",), SCORING, "pip install openvino"),
    Package("msgspec", ("msgspec",), SCORING, "pip install msgspec"),
)

DALI = Package(
    "nvidia.dali",
    ("nvidia-dali-cuda120", "nvidia-dali-cuda130"),
    SCORING,
    "pip install nvidia-dali-cuda120",
)

INSTALL_DICOM = "pip install 'hambatch[dicom]'"

FOR_FORMATS = (
    Package("pydicom", ("pydicom",), DICOM, INSTALL_DICOM),
    Package("openjpeg", ("pylibjpeg-openjpeg",), DICOM, INSTALL_DICOM),
    Package("jpeg_ls", ("pyjpegls",), DICOM, INSTALL_DICOM),
    Package("gdcm", ("python-gdcm",), DICOM, INSTALL_DICOM),
    Package("highdicom", ("highdicom",), DICOM, INSTALL_DICOM),
    Package("pillow_heif", ("pillow-heif",), HEIC, "pip install 'hambatch[heif]'"),
)

FOR_TABLES = (
    Package("pandas", ("pandas",), TRUTH, "pip install pandas"),
    Package("scipy", ("scipy",), TRUTH, "pip install scipy"),
    Package("jinja2", ("jinja2",), TRUTH, "pip install jinja2"),
    Package("pyarrow.parquet", ("pyarrow",), PARQUET, "pip install 'hambatch[parquet]'"),
    Package("openpyxl", ("openpyxl",), EXCEL, "pip install 'hambatch[xlsx]'"),
    Package("matplotlib.figure", ("matplotlib",), PLOTS, "pip install 'hambatch[plot]'"),
    Package(
        "cryptography.hazmat.primitives.asymmetric.ed25519",
        ("cryptography",),
        SEALS,
        "pip install 'hambatch[sign]'",
    ),
)

INSTALL_TRAINING = "pip install 'hambatch[train]'"

FOR_TRAINING = (
    Package("tensorflow", ("tensorflow-cpu", "tensorflow"), TRAINING, INSTALL_TRAINING),
    *(
        Package(name, (name,), TRAINING, INSTALL_TRAINING)
        for name in ("keras", "h5py", "onnx", "tf2onnx")
    ),
)

FOR_GPU = (
    # Its libraries come from an index of NVIDIA; that package fetches them while it installs.
    Package("tensorrt", DISTRIBUTIONS, GPU, "pip install tensorrt-cu12", least=OLDEST),
    Package("pycuda.driver", ("pycuda",), GPU, "pip install pycuda"),
)


def examine_packages(packages: Sequence[Package]) -> list[Finding]:
    """Import those that are installed, in a child process."""
    installed = [package for package in packages if _is_installed(package)]
    troubles = _import_all([package.module for package in installed])
    return [
        _examined(package, troubles[package.module]) if package in installed else _missing(package)
        for package in packages
    ]


def examine_dali() -> Finding:
    """Decode an image with DALI, if it is installed: it imports without all that it needs."""
    if not _is_installed(DALI):
        return _missing(DALI)
    trouble = run_probe(CHILDREN, "decode", seconds=SECONDS).problem
    return _examined(DALI, trouble, "decoded an image on the CPU; no GPU was tried")


def _import_all(modules: Sequence[str]) -> dict[str, str]:
    """Import modules; to each, why it cannot be imported, empty if it can.

    One process imports as many as it can; what ends it is at fault; another does the rest.
    """
    troubles: dict[str, str] = {}
    while left := [name for name in modules if name not in troubles]:
        found = run_probe(CHILDREN, "import", *left, seconds=SECONDS)
        troubles |= dict.fromkeys(found.reports, "")
        if found.problem:
            failed = next((name for name in left if name not in troubles), left[-1])
            troubles[failed] = found.problem
    return troubles


def _is_installed(package: Package) -> bool:
    """Tell whether pip knows it, or its module can be found under whatever distribution."""
    if _installed(package)[1]:
        return True
    top = package.module.partition(".")[0]
    # Many packages of NVIDIA share one top.
    name = package.module if top == "nvidia" else top
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:
        return False
    # A folder of that name that holds no module has no origin.
    return spec is not None and spec.origin is not None


def _installed(package: Package) -> tuple[str, str]:
    """Name and version of the distribution that is installed; no version if none is."""
    for name in package.distributions:
        with suppress(PackageNotFoundError):
            return name, version(name)
    return package.distributions[0], ""


def _missing(package: Package) -> Finding:
    module, (name, *_), needed_for, install, _ = package
    return Finding(module, name, MISSING, needed_for, why="not installed", next=install)


def _examined(package: Package, trouble: str, about: str = "") -> Finding:
    name, found = _installed(package)
    why, what_next = trouble, _remedy(package, trouble)
    if not trouble and found and _numbers(found) < package.least:
        wanted = ".".join(map(str, package.least))
        why, what_next = f"too old, wanted {wanted} or newer", package.install
    if why:
        part, needed_for = package.module, package.needed_for
        return Finding(part, name, BROKEN, needed_for, found, why=why, next=what_next)
    return Finding(package.module, name, USABLE, package.needed_for, found, about)


def _remedy(package: Package, trouble: str) -> str:
    """Name what is at fault: the driver, another package, or this one."""
    if "libcuda.so" in trouble:
        return INSTALL_DRIVER
    name, found = _installed(package)
    lacking = re.match(r"ModuleNotFoundError: No module named '(\w+)", trouble)
    another = lacking and lacking[1] != package.module.partition(".")[0]
    if another or not found:
        return package.install
    return f"pip install --force-reinstall {name}=={found}"


def _numbers(found: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", found)[:2])


OF_CAPABILITY = {(8, 0): "Ampere (A100, A30)", (8, 9): "Ada", (9, 0): "Hopper"}

OF_MAJOR = {10: "Blackwell", 11: "Jetson Thor", 12: "Blackwell"}
"""Compute capability, or its first number, to the architectures that nvJPEG's documentation
names in "Hardware Acceleration" (docs.nvidia.com/cuda/nvjpeg, section 1.5, of CUDA 13)."""


def jpeg_engine(gpu: Gpu) -> str:
    """Say what is documented for a GPU; nothing is run."""
    major = gpu.capability[0]
    if architecture := OF_CAPABILITY.get(gpu.capability) or OF_MAJOR.get(major):
        known = f"documented for {architecture}"
    elif major > max(OF_MAJOR):
        known = "not known of so new a GPU"
    else:
        known = "none documented, its cores decode"
    return f"JPEG hardware engine: {known}; hambatch bench pipeline measures how fast it decodes"


def examine_gpus() -> list[Finding]:
    """Ask the driver, in a child process."""
    return list(gpu_findings(probe_gpus()))


def gpu_findings(probe: Probe) -> Iterator[Finding]:
    """The driver, and every GPU that it can use."""
    yield Finding(
        part="driver",
        name="nvidia-driver",
        state=USABLE if probe.usable else MISSING if probe.absent else BROKEN,
        needed_for=GPU,
        version=probe.driver,
        about=f"runs CUDA {cuda_version(probe.cuda)}" if probe.cuda else "",
        why=probe.problem,
        next=probe.next,
    )
    for gpu in probe.gpus if probe.usable else ():
        major, minor = gpu.capability
        size = f"{gpu.memory_bytes / 2**30:.0f} GiB"
        about = f"compute capability {major}.{minor}, {size}; {jpeg_engine(gpu)}"
        part = f"gpu {gpu.ordinal}"
        yield Finding(part, f"{gpu.name} ({part})", USABLE, GPU, about=about)


VERIFY = "hambatch engines verify"

TUNE = "; hambatch engines tune SOURCE may allow a faster precision"
"""Where no gate of a cheaper precision was measured."""


def examine_engine(name: str = DEFAULT_ENGINE) -> Finding:
    """Load it in a child process, with the backend and precision of a plain `score` by CPU."""
    found = run_probe(CHILDREN, "load", name, seconds=SECONDS)
    facts = dict(found.reports[0]) if found.reports else {"why": found.problem, "next": VERIFY}
    if "why" in facts:
        remedy = facts["next"] or VERIFY
        return Finding("engine", name, BROKEN, SCORING, why=facts["why"], next=remedy)
    hint = TUNE if facts["tune"] else ""
    about = f"loads; runs as {facts['runs']} here ({facts['chosen']}){hint}"
    return Finding("engine", facts["name"], USABLE, SCORING, facts["version"], about)
