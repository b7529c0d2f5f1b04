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
    cuda: int = 0
    gpus: tuple[Gpu, ...] = ()
    problem: str = ""

    def outdated(self, key: PlanKey) -> bool:
        """Say whether a plan was built for such a GPU, and cannot be used on it any more.

        One for another GPU may be of another machine, of which nothing is known.
        """
        return self._has(key) and bool(self.misfit(key))

    def misfit(self, key: PlanKey) -> str:
        """Say what is another here; empty if a plan fits one of the GPUs."""
        driver = {"driver": self.driver, "cuda": self.cuda}
        wanted = {"tensorrt": self.tensorrt, **driver, "form": FORM}
        different = [
            f"its {name} is {getattr(key, name)}, here {here}"
            for name, here in wanted.items()
            if getattr(key, name) != here
        ]
        if not self._has(key):
            names = ", ".join(f"{name} ({capability})" for name, capability in self._cards())
            different.append(f"its gpu is {key.gpu} ({key.capability}), here {names}")
        return "; ".join(different)

    def _has(self, key: PlanKey) -> bool:
        return (key.gpu, key.capability) in self._cards()

    def _cards(self) -> list[tuple[str, str]]:
        return [(gpu.name, ".".join(map(str, gpu.capability))) for gpu in self.gpus]


def this_machine() -> Machine:
    """Ask the driver and TensorRT."""
    probe = probe_gpus()
    if not probe.usable:
        return Machine(problem=probe.problem)
    try:
        version = tensorrt_module().__version__
    except HambatchError as error:
        return Machine(problem=str(error).splitlines()[0])
    return Machine(version, probe.driver, probe.cuda, probe.gpus)
