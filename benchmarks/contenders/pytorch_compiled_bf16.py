"""PyTorch compiled, or traced and frozen, under `torch.autocast` to bfloat16."""

from collections.abc import Callable

from contenders.meter import Run
from contenders.pytorch_compiled import WAYS, settings
from contenders.pytorch_loop import folder_loop
from contenders.task import Setting, Task

__all__ = ["build", "settings"]


def build(task: Task, setting: Setting) -> Callable[[], Run]:
    """Build the loop; what is compiled or traced under autocast computes in bfloat16."""
    import torch

    way, batch = str(setting["way"]), int(setting["batch"])
    # A cached cast of a weight would not be part of the trace.
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        network = WAYS[way](batch)
    # A trace holds its casts; under autocast TorchScript adds others, and gives float32.
    under_autocast = way == "compile"
    return folder_loop(task, network, batch, int(setting["workers"]), bfloat16=under_autocast)
