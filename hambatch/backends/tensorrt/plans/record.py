"""The JSON beside a plan: what it is, what it was built for, how it was tried."""

import json
from typing import Annotated

from msgspec import Meta, Struct, field, structs, to_builtins

from hambatch.backends.tensorrt.plans.invariance import Count, Invariance
from hambatch.system.cache import key_of
from hambatch.system.schema import read_json

FORMAT = 1

Figures = dict[str, Count | float]


class PlanKey(Struct, frozen=True, forbid_unknown_fields=True):
    """All that a plan was built from, with and for.

    Attributes
    ----------
    onnx_sha256
        Of the graph in the engine's folder that it was made from.
    form
        Of the build (:data:`hambatch.backends.tensorrt.plans.builder.FORM`).
    capability
        Compute capability, such as ``9.0``.
    driver
        Its version; empty where NVML does not name it, as in some containers.
    cuda
        The newest CUDA that the driver runs, as it numbers versions: 12040 is 12.4.
    profile
        The smallest, the usual and the largest batch.
    """

    onnx_sha256: str
    precision: str
    form: Count
    tensorrt: str
    gpu: str
    capability: str
    driver: str
    cuda: Count
    profile: tuple[Count, Count, Count]
    workspace_megabytes: Count
    hardware_compatible: bool
    version_compatible: bool

    @property
    def name(self) -> str:
        """The sha256 of all parts."""
        return key_of(structs.asdict(self))

    def differences(self, wanted: "PlanKey") -> list[str]:
        """Name each part that is another one, with what it is and what was wanted."""
        there = structs.asdict(wanted)
        return [
            f"{name} {value}, wanted {there[name]}"
            for name, value in structs.asdict(self).items()
            if value != there[name]
        ]


def nearest(keys: list[PlanKey], wanted: PlanKey) -> str:
    """Say what is different about the plan that comes nearest; empty if there is no plan."""
    differences = sorted((key.differences(wanted) for key in keys), key=len)
    return "; ".join(differences[0]) if differences else ""


class PlanRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """One plan.

    Attributes
    ----------
    engine
        Name of the engine that it was built from.
    built
        When, in UTC; it took ``seconds``.
    known_pictures
        How far the plan's scores of the sentinels are from the engine's record; empty if it has
        none.
    conversion
        How far FP16 is from FP32, of an FP16 plan; else empty.
    """

    key: PlanKey
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    size_bytes: Count
    engine: str
    built: str
    seconds: float
    invariance: Invariance
    known_pictures: Figures = field(default_factory=dict)
    conversion: dict[str, Figures] = field(default_factory=dict)
    format: int = FORMAT

    def __post_init__(self) -> None:
        """Raise ValueError if a figure is missing that `hambatch build` shows."""
        shown = {"images", "max_difference", "tolerance"}
        if self.known_pictures and not shown <= self.known_pictures.keys():
            raise ValueError(f"known_pictures has {sorted(self.known_pictures)}, wanted {shown}")
        if self.conversion and "max_difference" not in self.conversion.get("values", {}):
            raise ValueError("conversion has no values.max_difference")

    @property
    def file(self) -> str:
        """Name of the plan's file: two builds of one key never write the same one."""
        return f"{self.key.name}-{self.sha256[:16]}.plan"

    def to_json(self) -> bytes:
        """Write all of it as JSON."""
        return json.dumps(to_builtins(self), indent=2, allow_nan=False).encode() + b"\n"


class _Versioned(Struct):
    format: int


def read_record(content: bytes) -> PlanRecord:
    """Read a record; raises ValueError if it is not one."""
    found = read_json(content, _Versioned).format
    if found != FORMAT:
        raise ValueError(f"its format is {found}, wanted {FORMAT}")
    return read_json(content, PlanRecord)
