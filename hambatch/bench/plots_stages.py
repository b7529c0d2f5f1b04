"""How many images a second each stage does alone, and the ceiling of all of them."""

from typing import Any

WIDE = 20
"""From this ratio of the fastest to the slowest stage on, the axis is logarithmic."""


def has_stages(result: dict[str, Any]) -> bool:
    """Tell whether there are several: a single bar compares nothing."""
    return len(result["stages"]) > 1


def draw_stages(result: dict[str, Any], axes: Any) -> None:
    """Draw a bar a stage in the order of the work, and the ceiling as a dashed line."""
    stages, ceiling = result["stages"], result["ceiling"]
    rates = list(stages.values())
    rows = range(len(stages))
    logarithmic = max(rates) > WIDE * min(rates)
    if logarithmic:
        axes.set_xscale("log")
    axes.barh(rows, rates, color="#6baed6", edgecolor="#08306b", height=0.6)
    # Not beside the bars, where the ceiling's line may run through the figure.
    axes.set_yticks(rows, [f"{name}\n{_rate(rate)}" for name, rate in stages.items()])
    axes.set_ylim(len(stages) - 0.4, -0.6)
    low, high = (min(rates) / 3, max(rates) * 2) if logarithmic else (0, max(rates) * 1.15)
    axes.set_xlim(low, high)
    axes.set_xlabel("images/s" + (" (logarithmic)" if logarithmic else ""))
    axes.set_title("Images per second, by stage", fontsize=11)
    if ceiling:
        _draw_ceiling(ceiling, axes)


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 1000 else f"{rate:.3g}"


def _draw_ceiling(ceiling: dict[str, Any], axes: Any) -> None:
    label = f"ceiling {ceiling['images_per_s']:.4g} images/s = {ceiling['formula']}"
    if ceiling.get("share_of_ceiling"):
        label += f"; reached {ceiling['share_of_ceiling']:.1%}"
    axes.axvline(ceiling["images_per_s"], color="black", linestyle="--", label=label)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), fontsize=9, frameon=False)
