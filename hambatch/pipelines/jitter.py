"""Colours and a cut-out square for training: what happens to a view after it was warped."""

from typing import Any

FILL = (124.0, 117.0, 104.0)
"""RGB mean of ImageNet: a cut-out square is 0 for the network, but for rounding."""


def jittered(images: Any, colours: Any, hole: Any) -> Any:
    """Build the graph from uint8 RGB images to such with other colours and a hole.

    Parameters
    ----------
    colours
        DALI node of float32 ``[4]`` samples: factors of brightness, contrast and
        saturation, and degrees of hue.
    hole
        DALI node of float32 ``[4]`` samples: top, left, height and width in pixels.
    """
    from nvidia.dali import fn

    images = fn.color_twist(
        images,
        brightness=colours[0],
        contrast=colours[1],
        saturation=colours[2],
        hue=colours[3],
    )
    return fn.erase(images, anchor=hole[0:2], shape=hole[2:4], axis_names="HW", fill_value=FILL)
