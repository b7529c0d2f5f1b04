"""Which packages are installed, and whether they work: tried, not read from their metadata."""

import re
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from hambatch.asking import ask
from hambatch.doctor.catalogue import DALI, Package
from hambatch.doctor.finding import BROKEN, MISSING, USABLE, Finding
from hambatch.gpu.probe import INSTALL as INSTALL_DRIVER

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
    told = ask("hambatch.doctor.dali_child", seconds=SECONDS)
    return _examined(DALI, told.trouble, "decoded a picture on the CPU; no GPU was tried")


def import_all(modules: Sequence[str]) -> dict[str, str]:
    """Import modules, in one process as far as they let each other live.

    Returns
    -------
    dict
        Module to why it cannot be imported; empty if it can.
    """
    troubles: dict[str, str] = {}
    while left := [name for name in modules if name not in troubles]:
        told = ask("hambatch.doctor.import_child", *left, seconds=SECONDS)
        troubles |= dict.fromkeys(told.answers, "")
        if told.trouble:
            # The first without an answer is to blame; those after it get another process.
            failed = next((name for name in left if name not in troubles), left[-1])
            troubles[failed] = told.trouble
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
