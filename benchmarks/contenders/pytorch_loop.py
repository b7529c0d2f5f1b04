"""The folder loop of a PyTorch user: a `DataLoader` of Pillow pictures, then the network."""

from collections.abc import Callable
from typing import Any

from contenders.meter import Meter, Run
from contenders.task import SIDE, Task
from contenders.torchvision_on_cpu import torchvision

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Pictures:
    """A dataset of files; spelled out, as torchvision's `ImageFolder` wants a folder a class."""

    def __init__(self, files: list[str]) -> None:
        transforms = torchvision().transforms
        self._files = files
        self._transform = transforms.Compose(
            [
                transforms.Resize((SIDE, SIDE)),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, DEVIATION),
            ]
        )

    def __len__(self) -> int:
        """Count the files."""
        return len(self._files)

    def __getitem__(self, index: int) -> Any:
        """Decode one."""
        from PIL import Image

        with Image.open(self._files[index]) as image:
            return self._transform(image.convert("RGB"))


def folder_loop(
    task: Task, network: Any, batch: int, workers: int, *, bfloat16: bool = False
) -> Callable[[], Run]:
    """Build a loop over all pictures, under autocast or not; its workers stay from run to run."""
    import torch
    from torch.utils.data import DataLoader

    torch.set_num_threads(task.cores)
    loader = DataLoader(
        Pictures(task.files),  # type: ignore[arg-type]
        batch_size=batch,
        num_workers=workers,
        persistent_workers=workers > 0,
        # What a script gets on Linux up to Python 3.13; a spawned process would spawn.
        multiprocessing_context="fork" if workers else None,
    )

    def run() -> Run:
        meter, scored = Meter(), 0
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            for images in loader:
                scored += len(network(images).float().softmax(1).numpy())
        assert scored == len(task.names)
        return Run(scored, meter.spent())

    return run
