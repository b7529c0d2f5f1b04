"""PyTorch with what it offers to be faster: compiled, or traced and frozen."""

from collections.abc import Callable
from typing import Any

from contenders.meter import Run
from contenders.pytorch_loop import folder_loop
from contenders.task import SIDE, Setting, Task
from contenders.torchvision_on_cpu import resnet50

BATCHES = (8, 32)
WORKERS = (0, 2)


def settings(task: Task) -> list[Setting]:
    """`torch.compile`, and the older way by TorchScript; channels last in both."""
    ways = ("compile", "trace_and_freeze")
    return [
        {"way": way, "batch": batch, "workers": workers}
        for way in ways
        for batch in BATCHES
        for workers in WORKERS
    ]


def build(task: Task, setting: Setting) -> Callable[[], Run]:
    """Build the loop; a first run compiles for each size of batch that it meets."""
    batch = int(setting["batch"])
    network = WAYS[str(setting["way"])](batch)
    return folder_loop(task, network, batch, int(setting["workers"]))


def _compiled(batch: int) -> Any:
    import torch

    network = torch.compile(resnet50().to(memory_format=torch.channels_last), dynamic=False)
    return lambda images: network(images.contiguous(memory_format=torch.channels_last))


def _traced(batch: int) -> Any:
    import torch

    example = torch.rand(batch, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        traced = torch.jit.trace(resnet50().to(memory_format=torch.channels_last), example)
        network = torch.jit.optimize_for_inference(torch.jit.freeze(traced))
    return lambda images: network(images.contiguous(memory_format=torch.channels_last))


WAYS: dict[str, Callable[[int], Any]] = {"compile": _compiled, "trace_and_freeze": _traced}
