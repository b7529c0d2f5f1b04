"""Records and plans without TensorRT: a plan is any bytes to the folder that keeps it."""

from msgspec.structs import replace

from hambatch.backends.tensorrt.plans.invariance import Invariance
from hambatch.backends.tensorrt.plans.record import PlanKey, PlanRecord
from hambatch.system.files import sha256_of_bytes

CONTENT = b"a plan " * 99

KEY = PlanKey(
    onnx_sha256="a" * 64,
    precision="fp16",
    form=1,
    tensorrt="11.4.0.106",
    gpu="NVIDIA Made-Up",
    capability="8.9",
    driver="580.1",
    cuda=13000,
    profile=(1, 32, 32),
    workspace_megabytes=4096,
    hardware_compatible=False,
    version_compatible=False,
)

OTHERS = {
    "onnx_sha256": "b" * 64,
    "precision": "fp32",
    "form": 2,
    "tensorrt": "11.5.0.1",
    "gpu": "NVIDIA Other",
    "capability": "9.0",
    "driver": "590.2",
    "cuda": 13010,
    "profile": (1, 64, 64),
    "workspace_megabytes": 2048,
    "hardware_compatible": True,
    "version_compatible": True,
}


def record(content: bytes = CONTENT, **parts: object) -> PlanRecord:
    """Make the record of a plan."""
    return PlanRecord(
        key=replace(KEY, **parts),
        sha256=sha256_of_bytes(content),
        size_bytes=len(content),
        engine="tiny",
        built="2026-11-24T12:00:00+00:00",
        seconds=41.5,
        invariance=Invariance(0.0, 1e-4, 0.0, 1e-3, 4, (1, 2, 32)),
        known_pictures={"images": 4, "max_difference": 1e-5, "tolerance": 5e-4},
    )
