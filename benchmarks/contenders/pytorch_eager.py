"""PyTorch as it comes: an eager torchvision ResNet50 in `inference_mode`."""

from collections.abc import Callable

from contenders.meter import Run
from contenders.pytorch_loop import folder_loop
from contenders.task import Setting, Task
from contenders.torchvision_on_cpu import resnet50

BATCHES = (1, 8, 32)
WORKERS = (0, 1, 2)


def settings(task: Task) -> list[Setting]:
    """Loading in the loop's own process, or in one or two others."""
    return [{"batch": batch, "workers": workers} for batch in BATCHES for workers in WORKERS]


def build(task: Task, setting: Setting) -> Callable[[], Run]:
    """Build the loop."""
    return folder_loop(task, resnet50(), int(setting["batch"]), int(setting["workers"]))
