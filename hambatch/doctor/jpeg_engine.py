"""Which GPUs decode JPEG in an engine of their own, as far as documents tell."""

from hambatch.gpu.probe import Gpu

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
