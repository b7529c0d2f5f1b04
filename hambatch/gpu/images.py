"""A batch of images that never left the GPU."""

from dataclasses import dataclass

from hambatch.gpu.device import Event


@dataclass(frozen=True)
class DeviceImages:
    """Decoded images in the memory of a GPU, without gaps.

    Attributes
    ----------
    pointer
        Address on the device.
    shape
        ``(n, height, width, 3)``; uint8, RGB.
    owner
        What holds the memory: kept until whatever was queued to read it is done.
    ready
        The event behind which the pixels are there; None if they are there already.
    """

    pointer: int
    shape: tuple[int, int, int, int]
    owner: object
    ready: Event | None = None

    def __len__(self) -> int:
        """Count the images."""
        return self.shape[0]
