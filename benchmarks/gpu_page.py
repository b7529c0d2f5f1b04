"""The one page of `gpu.py`: what was found, in tables, the goal first."""

from collections.abc import Sequence
from typing import Any

WANTED = 0.9
"""Share of min(decode only, engine only) that end to end is to reach."""

Steps = Sequence[dict[str, Any]]
Cells = Sequence[object]


def measured(steps: Steps, part: str) -> list[dict[str, Any]]:
    """Give the steps of a part that have a result."""
    return [step for step in steps if step["part"] == part and step["result"]]


def goal(steps: Steps) -> dict[str, Any]:
    """Judge the goal in every precision that was measured; ``met`` is None without any."""
    shares = {
        step["about"]: step["result"]["ceiling"]["share_of_ceiling"]
        for step in measured(steps, "end to end")
    }
    met = all(share >= WANTED for share in shares.values()) if shares else None
    return {"wanted_share_of_ceiling": WANTED, "shares": shares, "met": met}


def verdict(steps: Steps) -> str:
    """Say in one sentence whether the goal is met, and whether the paths agree."""
    found = goal(steps)
    said = {True: "The goal is met", False: "The goal is missed", None: "Nothing end to end"}
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in found["shares"].items())
    agreed = measured(steps, "parity")
    parities = [f"{step['about']}: {step['result']['verdict']}" for step in agreed]
    parts = [
        f"{said[found['met']]}{f' ({shares} of the ceiling; wanted 90 %)' if shares else ''}",
        f"parity of {'; of '.join(parities)}" if parities else "parity was not measured",
    ]
    missing = [f"{step['part']}, {step['about']}" for step in steps if step["state"] != "done"]
    return "; ".join([*parts, *([f"not done: {'; '.join(missing)}"] if missing else [])])


def as_page(result: dict[str, Any]) -> str:
    """Lay out the whole result as Markdown."""
    steps, machine, images = result["steps"], result["machine"], result["images"]
    bytes_median = images["image_bytes_median"]
    about = (
        f"{machine['gpu']} (driver {machine['driver'] or 'unknown'}), {machine['cpu']}, "
        f"{machine['cores']} cores. {images['distinct_images']} generated JPEGs of "
        f"{images['megapixels_median']} megapixels and {bytes_median / 1000:.0f} kB "
        f"(medians), again and again. {result['measured_utc']}, {result['seconds']:.0f} s."
    )
    return "\n\n".join(
        [
            "# hambatch on a GPU",
            f"**{result['verdict']}.**",
            about,
            _part("End to end", _end_to_end(steps)),
            _part("Parity with the CPU's path", _parity(steps)),
            _part("Decoding alone", _rates(steps, "decoding", "decode")),
            _part("The engine alone, by request size", _rates(steps, "request size", "inference")),
            _part("Commands", _commands(steps)),
            "Images/s; medians of the repeats, with the least and the most. The ceiling is "
            "min(decode only, engine only), each alone in the same round. Sentinels that a run "
            "scores beside the images count as cost.\n",
        ]
    )


def _part(title: str, rows: Sequence[Cells]) -> str:
    if len(rows) < 2:
        return f"## {title}\n\nNot measured."
    head, *body = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join([f"## {title}\n", head, "|" + " --- |" * len(rows[0]), *body])


def _end_to_end(steps: Steps) -> list[Cells]:
    rows: list[Cells] = [
        ("precision", "decode only", "engine only", "ceiling", "end to end", "share", "bound by")
    ]
    for step in measured(steps, "end to end"):
        stages, ceiling = step["result"]["stages"], step["result"]["ceiling"]
        rates = [stages["decode"], stages["inference"], ceiling["images_per_s"], stages["score"]]
        share = f"{100 * ceiling['share_of_ceiling']:.1f} %"
        shown = [f"{rate:,.0f}" for rate in rates]
        rows.append((step["about"], *shown, share, ceiling["bound_by"]))
    return rows


def _parity(steps: Steps) -> list[Cells]:
    rows: list[Cells] = [("path", "verdict", "images", "largest", "mean", "labels", "steady")]
    for step in measured(steps, "parity"):
        for path in step["result"]["paths"]:
            found = path["compared"]
            names = ("images", "max_difference", "mean_difference", "label_flips")
            cells = [found[name] for name in names] if found else [""] * len(names)
            steady = ("yes" if path["steady"] else "no") if path["varied"] else ""
            rows.append((path["name"], path["verdict"], *cells, steady))
    return rows


def _rates(steps: Steps, part: str, stage: str) -> list[Cells]:
    rows: list[Cells] = [("what", "images/s", "least", "most", "CPU cores busy")]
    for step in measured(steps, part):
        for entry in step["result"]["throughput"]:
            if entry["stage"] == stage:
                rates = [f"{entry[key]:,.0f}" for key in ("median", "min", "max")]
                rows.append((entry["name"], *rates, entry["cpu_cores"]))
    return rows


def _commands(steps: Steps) -> list[Cells]:
    rows: list[Cells] = [("part", "state", "seconds", "command")]
    for step in steps:
        name = f"{step['part']}, {step['about']}"
        rows.append((name, step["state"], step["seconds"], f"`{step['command']}`"))
    return rows
