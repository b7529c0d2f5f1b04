"""Which kept plans this machine can use, and which it cannot."""

from dataclasses import dataclass

from hambatch.errors import HambatchError
from hambatch.gpu.probe import Gpu, probe_gpus
from hambatch.plans.building import FORM
from hambatch.plans.key import PlanKey
from hambatch.plans.tensorrt_module import tensorrt_module


@dataclass(frozen=True)
class Machine:
    """What plans are compared with; ``problem`` says why that cannot be told, else empty."""

    tensorrt: str = ""
    driver: str = ""
    gpus: tuple[Gpu, ...] = ()
    problem: str = ""

    def misfit(self, key: PlanKey) -> str:
        """Say what is another here; empty if a plan fits one of the GPUs."""
        wanted = {"tensorrt": self.tensorrt, "driver": self.driver, "form": FORM}
        different = [
            f"its {name} is {getattr(key, name)}, here {here}"
            for name, here in wanted.items()
            if getattr(key, name) != here
        ]
        cards = [(gpu.name, ".".join(map(str, gpu.capability))) for gpu in self.gpus]
        if (key.gpu, key.capability) not in cards:
            names = ", ".join(f"{name} ({capability})" for name, capability in cards)
            different.append(f"its gpu is {key.gpu} ({key.capability}), here {names}")
        return "; ".join(different)


def this_machine() -> Machine:
    """Ask the driver and TensorRT."""
    probe = probe_gpus()
    if not probe.usable:
        return Machine(problem=probe.problem)
    try:
        version = tensorrt_module().__version__
    except HambatchError as error:
        return Machine(problem=str(error).splitlines()[0])
    return Machine(version, probe.driver, probe.gpus)
