"""PyTorch as scripts have it: eager, batches of 32, two processes that load; nothing tuned."""

from collections.abc import Callable

from contenders.meter import Run
from contenders.pytorch_loop import folder_loop
from contenders.task import Setting, Task
from contenders.torchvision_on_cpu import resnet50


def settings(task: Task) -> list[Setting]:
    """One."""
    return [{"batch": 32, "workers": 2}]


def build(task: Task, setting: Setting) -> Callable[[], Run]:
    """Build the loop."""
    return folder_loop(task, resnet50(), int(setting["batch"]), int(setting["workers"]))
