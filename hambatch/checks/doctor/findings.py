"""What is known of the packages, the engine and the GPUs of this machine."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, NamedTuple

from hambatch.score.options import ScoreOptions
from hambatch.system.gpus import INSTALL as INSTALL_DRIVER
from hambatch.system.gpus import Gpu, Probe, cuda_version, probe_gpus
from hambatch.system.packages import DISTRIBUTIONS, OLDEST
from hambatch.system.probe import run_probe

USABLE, MISSING, BROKEN = "usable", "missing", "broken"


STATES = (USABLE, MISSING, BROKEN)


@dataclass(frozen=True)
class Finding:
    """A part and its state.

    Attributes
    ----------
    part
        What it is called here, on every machine: a module, ``engine``, ``driver``, ``gpu 0``.
    name
        What it is called by others: a distribution, an engine, a card.
    state
        One of :data:`STATES`.
    needed_for
        What does not work without it.
    version
        Empty if unknown.
    about
        What else is known of it.
    why
        Why it cannot be used, in a line; empty if it can.
    next
        What to type then.
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
        """Whether it is there and works."""
        return self.state == USABLE

    def to_json(self) -> dict[str, Any]:
        """Give every field."""
        return asdict(self)


SCORING, GPU, TRAINING = "scoring", "scoring on a GPU", "training and export"


TRUTH, PARQUET, PLOTS = "evaluation and splits", "Parquet tables", "plots"


class Package(NamedTuple):
    """A package: how it is imported, under which names pip knows it, how it is installed.

    Attributes
    ----------
    module
        What is imported to see whether it works.
    distributions
        The names under which it is distributed; the first one is told where none is there.
    needed_for
        One of the purposes above.
    install
        The line to type.
    least
        The oldest version that works, where pip does not see to that.
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


FOR_TABLES = (
    Package("pandas", ("pandas",), TRUTH, "pip install pandas"),
    Package("scipy", ("scipy",), TRUTH, "pip install scipy"),
    Package("jinja2", ("jinja2",), TRUTH, "pip install jinja2"),
    Package("pyarrow.parquet", ("pyarrow",), PARQUET, "pip install 'hambatch[parquet]'"),
    Package("matplotlib.figure", ("matplotlib",), PLOTS, "pip install 'hambatch[plot]'"),
)


INSTALL_TRAINING = "pip install 'hambatch[train]'"


FOR_TRAINING = (
    Package("tensorflow", ("tensorflow-cpu", "tensorflow"), TRAINING, INSTALL_TRAINING),
    Package("keras", ("keras",), TRAINING, INSTALL_TRAINING),
    Package("h5py", ("h5py",), TRAINING, INSTALL_TRAINING),
    Package("onnx", ("onnx",), TRAINING, INSTALL_TRAINING),
    Package("tf2onnx", ("tf2onnx",), TRAINING, INSTALL_TRAINING),
)


TENSORRT = Package(
    "tensorrt",
    DISTRIBUTIONS,
    GPU,
    # Its libraries come from an index of NVIDIA; that package fetches them while it installs.
    "pip install tensorrt-cu12",
    least=OLDEST,
)


FOR_GPU = (TENSORRT, Package("pycuda.driver", ("pycuda",), GPU, "pip install pycuda"))


SECONDS = 120.0
"""For a group of packages: TensorFlow alone may take twenty from a slow disk."""


def examine_packages(packages: Sequence[Package]) -> list[Finding]:
    """Import those that are installed, in a process of their own."""
    there = [package for package in packages if _is_there(package)]
    troubles = import_all([package.module for package in there])
    return [
        _examined(package, troubles[package.module]) if package in there else _missing(package)
        for package in packages
    ]


def examine_dali() -> Finding:
    """Decode a picture with DALI, if it is installed: it imports without all that it needs."""
    if not _is_there(DALI):
        return _missing(DALI)
    result = run_probe("hambatch.checks.doctor.dali_child", seconds=SECONDS)
    return _examined(DALI, result.problem, "decoded a picture on the CPU; no GPU was tried")


def import_all(modules: Sequence[str]) -> dict[str, str]:
    """Import modules, in one process as far as they let each other live.

    Returns
    -------
    dict
        Module to why it cannot be imported; empty if it can.
    """
    troubles: dict[str, str] = {}
    while left := [name for name in modules if name not in troubles]:
        result = run_probe("hambatch.checks.doctor.import_child", *left, seconds=SECONDS)
        troubles |= dict.fromkeys(result.reports, "")
        if result.problem:
            # The first without an answer is to blame; those after it get another process.
            failed = next((name for name in left if name not in troubles), left[-1])
            troubles[failed] = result.problem
    return troubles


def _is_there(package: Package) -> bool:
    """Tell whether pip knows it, or its module lies there under whatever name."""
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
    return Finding(
        part=package.module,
        name=package.distributions[0],
        state=MISSING,
        needed_for=package.needed_for,
        why="not installed",
        next=package.install,
    )


def _examined(package: Package, trouble: str, about: str = "") -> Finding:
    name, found = _installed(package)
    why, what_next = trouble, _remedy(package, trouble)
    if not trouble and found and _numbers(found) < package.least:
        wanted = ".".join(map(str, package.least))
        why, what_next = f"too old, wanted {wanted} or newer", package.install
    return Finding(
        part=package.module,
        name=name,
        state=BROKEN if why else USABLE,
        needed_for=package.needed_for,
        version=found,
        about="" if why else about,
        why=why,
        next=what_next if why else "",
    )


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


SINGLE = {(8, 0): "Ampere (A100, A30)", (8, 9): "Ada", (9, 0): "Hopper"}


WHOLE = {10: "Blackwell", 11: "Jetson Thor", 12: "Blackwell"}
"""Compute capability, or its first number, to the architectures that nvJPEG's documentation
names in "Hardware Acceleration" (docs.nvidia.com/cuda/nvjpeg, section 1.5, of CUDA 13)."""


MEASURE = "hambatch bench pipeline measures how fast it decodes"


def jpeg_engine(gpu: Gpu) -> str:
    """Say what is documented for a GPU; nothing is run."""
    major = gpu.capability[0]
    architecture = SINGLE.get(gpu.capability) or WHOLE.get(major)
    if architecture:
        return f"JPEG hardware engine: documented for {architecture}; {MEASURE}"
    if major > max(WHOLE):
        return f"JPEG hardware engine: not known of so new a GPU; {MEASURE}"
    return f"JPEG hardware engine: none documented, its cores decode; {MEASURE}"


def examine_gpus() -> list[Finding]:
    """Ask the driver, in a process of its own."""
    return list(findings(probe_gpus()))


def findings(probe: Probe) -> Iterator[Finding]:
    """The driver, and every GPU that it can use."""
    cuda = f"CUDA {cuda_version(probe.cuda)}" if probe.cuda else ""
    yield Finding(
        part="driver",
        name="nvidia-driver",
        state=USABLE if probe.usable else MISSING if probe.absent else BROKEN,
        needed_for=GPU,
        version=probe.driver,
        about=f"runs {cuda}" if cuda else "",
        why=probe.problem,
        next=probe.next,
    )
    if probe.usable:
        yield from map(_finding, probe.gpus)


def _finding(gpu: Gpu) -> Finding:
    major, minor = gpu.capability
    size = f"{gpu.memory_bytes / 2**30:.0f} GiB"
    about = f"compute capability {major}.{minor}, {size}; {jpeg_engine(gpu)}"
    part = f"gpu {gpu.ordinal}"
    return Finding(part, f"{gpu.name} ({part})", USABLE, GPU, about=about)


ENGINE_SECONDS = 120.0


VERIFY = "hambatch engines verify"


def examine_engine(name: str = ScoreOptions.engine) -> Finding:
    """Load it in a process of its own, with the backend and precision of a plain `score` by CPU."""
    result = run_probe(
        "hambatch.checks.doctor.engine_child",
        name,
        "openvino",
        ScoreOptions.precision,
        seconds=ENGINE_SECONDS,
    )
    said = dict(result.reports[0]) if result.reports else {"why": result.problem, "next": VERIFY}
    if "why" in said:
        remedy = said["next"] or VERIFY
        return Finding("engine", name, BROKEN, SCORING, why=said["why"], next=remedy)
    about = f"loads; runs as {said['runs']} here ({said['chosen']})"
    return Finding("engine", said["name"], USABLE, SCORING, said["version"], about)
