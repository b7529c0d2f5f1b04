"""PyTorch eager under `torch.autocast` to bfloat16, in the usual layout or with channels last."""

from collections.abc import Callable
from typing import Any

from contenders.meter import Run
from contenders.pytorch_loop import folder_loop
from contenders.task import Setting, Task
from contenders.torchvision_on_cpu import resnet50

BATCHES = (8, 32)
WORKERS = (0, 2)
LAYOUTS = ("contiguous", "channels_last")


def settings(task: Task) -> list[Setting]:
    """Every combination."""
    return [
        {"layout": layout, "batch": batch, "workers": workers}
        for layout in LAYOUTS
        for batch in BATCHES
        for workers in WORKERS
    ]


def build(task: Task, setting: Setting) -> Callable[[], Run]:
    """Build the loop."""
    network = _laid_out(str(setting["layout"]))
    sizes = int(setting["batch"]), int(setting["workers"])
    return folder_loop(task, network, *sizes, bfloat16=True)


def _laid_out(layout: str) -> Any:
    import torch

    form = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}[layout]
    network = resnet50().to(memory_format=form)
    return lambda images: network(images.contiguous(memory_format=form))
