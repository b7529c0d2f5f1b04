"""Defaults of `hambatch build`: option name = field name."""

from dataclasses import dataclass

from hambatch.engines.options import DEFAULT_ENGINE


@dataclass(frozen=True)
class BuildOptions:
    """`hambatch build`: one TensorRT plan.

    ``precision`` and ``max_batch``, the images a request, are those that `score` runs by TensorRT;
    ``device`` is the number of a GPU; ``workspace_megabytes`` (10^6 bytes) is the most scratch
    memory that a kernel may ask for; the rest is left to the decoder.
    """

    engine: str = DEFAULT_ENGINE
    precision: str = "fp32"
    max_batch: int = 64
    device: int = 0
    workspace_megabytes: int = 4096
    hardware_compatible: bool = False
    version_compatible: bool = False
    rebuild: bool = False

    @property
    def profile(self) -> tuple[int, int, int]:
        """The smallest, the usual and the largest batch: scoring fills every batch up."""
        return 1, self.max_batch, self.max_batch
