"""What became of one image that was to be explained."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hambatch.batches import Row


@dataclass(frozen=True)
class Explanation:
    """An image's row in FP32, and the rest if its ``status`` is ``ok``.

    ``maps`` are float32 ``[classes, rows, columns]``; ``size`` is the picture's own width and
    height, if known; ``file`` the PNG's name, which shows the map of ``of_class``. ``in_table``
    is the row that the image was taken from, if there was a table.
    """

    row: Row
    in_table: Row | None = None
    maps: NDArray[np.float32] | None = None
    size: tuple[int, int] | None = None
    of_class: str = ""
    file: str = ""
