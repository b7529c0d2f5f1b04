"""What the NVIDIA driver's own libraries say, in a child process that they may crash.

Run by :func:`hambatch.system.gpus.probe_gpus`. It reports piece by piece, so that what was
found before a crash is kept. Calls and numbers: CUDA driver API and NVML API references.
"""

import ctypes
import sys
from collections.abc import Iterator
from typing import Any

from hambatch.system.probe import report

CAPABILITY = (75, 76)
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""

UUIDS = ("cuDeviceGetUuid_v2", "cuDeviceGetUuid")
"""The first one tells the parts of a divided card apart; old drivers lack it."""


def main() -> None:
    """Report parts of one dictionary."""
    library, management = sys.argv[1:]
    try:
        cuda = ctypes.CDLL(library)
    except OSError as error:
        report({"not_loaded": str(error)})
        return
    version = ctypes.c_int()
    if cuda.cuDriverGetVersion(ctypes.byref(version)) == 0:
        report({"cuda": version.value})
    refused = cuda.cuInit(0)
    report({"error": refused})
    if not refused:
        report({"gpus": list(gpus(cuda))})
    report({"driver": driver_version(management)})


def gpus(cuda: Any) -> Iterator[dict[str, Any]]:
    """Give the fields of :class:`hambatch.system.gpus.Gpu`."""
    count, device, number = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    call(cuda, "cuDeviceGetCount", ctypes.byref(count))
    for ordinal in range(count.value):
        call(cuda, "cuDeviceGet", ctypes.byref(device), ordinal)
        call(cuda, "cuDeviceGetName", name, len(name), device)
        call(cuda, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
        capability = []
        for attribute in CAPABILITY:
            call(cuda, "cuDeviceGetAttribute", ctypes.byref(number), attribute, device)
            capability.append(number.value)
        yield {
            "ordinal": ordinal,
            "name": name.value.decode(errors="replace"),
            "capability": capability,
            "memory_bytes": memory.value,
            "uuid": uuid(cuda, device),
        }


def call(cuda: Any, name: str, *arguments: Any) -> None:
    """Call a function of the driver; any error ends the probe."""
    error = getattr(cuda, name)(*arguments)
    if error:
        raise RuntimeError(f"{name} gave error {error}")


def uuid(cuda: Any, device: ctypes.c_int) -> str:
    """Give 32 hexadecimal digits, or nothing where the driver has no such function."""
    raw = (ctypes.c_ubyte * 16)()
    for name in UUIDS:
        if hasattr(cuda, name) and getattr(cuda, name)(raw, device) == 0:
            return bytes(raw).hex()
    return ""


def driver_version(management: str) -> str:
    """Give NVML's answer, or nothing: containers may lack it."""
    try:
        nvml = ctypes.CDLL(management)
    except OSError:
        return ""
    text = ctypes.create_string_buffer(96)
    if nvml.nvmlInit_v2() or nvml.nvmlSystemGetDriverVersion(text, len(text)):
        return ""
    return text.value.decode(errors="replace")
