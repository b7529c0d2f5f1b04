"""What decides whether a plan may be used: all of it has to be the same."""

from dataclasses import asdict, dataclass, fields

from hambatch.private_cache import key_of


@dataclass(frozen=True)
class PlanKey:
    """All that a plan was built from, with and for.

    Attributes
    ----------
    onnx_sha256
        Of the graph in the engine's folder that it was made from.
    form
        Of the build (:data:`hambatch.plans.building.FORM`).
    capability
        Compute capability, such as ``9.0``.
    driver
        Its version; empty where NVML does not tell it, as in some containers.
    cuda
        The newest CUDA that the driver runs, as it numbers versions: 12040 is 12.4.
    profile
        The smallest, the usual and the largest batch.
    """

    onnx_sha256: str
    precision: str
    form: int
    tensorrt: str
    gpu: str
    capability: str
    driver: str
    cuda: int
    profile: tuple[int, int, int]
    workspace_megabytes: int
    hardware_compatible: bool
    version_compatible: bool

    @property
    def name(self) -> str:
        """The sha256 of all parts."""
        return key_of(asdict(self))

    def differences(self, wanted: "PlanKey") -> list[str]:
        """Name each part that is another one, with what it is and what was wanted."""
        return [
            f"{part.name} {getattr(self, part.name)}, wanted {getattr(wanted, part.name)}"
            for part in fields(self)
            if getattr(self, part.name) != getattr(wanted, part.name)
        ]


def nearest(keys: list[PlanKey], wanted: PlanKey) -> str:
    """Say what is different about the plan that comes nearest; empty if there is no plan."""
    differences = sorted((key.differences(wanted) for key in keys), key=len)
    return "; ".join(differences[0]) if differences else ""
