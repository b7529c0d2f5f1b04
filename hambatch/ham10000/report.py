"""What `prepare` says on stdout: the split by class, and what was left out."""

from collections.abc import Sequence
from typing import Any

from hambatch.labels import SPLITS

SHOWN = 5
"""How many names a line shows; the record holds them all."""


def summarize(record: dict[str, Any]) -> str:
    """Lay out a record of :func:`hambatch.ham10000.prepare.prepare` as text."""
    counts, unseen = record["counts"], bool(record["not_compared"])
    rows = [(name, _numbers(counts[name])) for name in counts]
    total = [sum(column) for column in zip(*(numbers for _, numbers in rows), strict=True)]
    side = "".join(f"{split:>7}" for split in (*SPLITS, "all"))
    lines = [
        f"{'':6}{'images':>28}  {'lesions':>28}",
        f"{'class':6}{side}  {side}",
        *(_line(name, numbers) for name, numbers in (*rows, ("all", total))),
        "",
        _names("metadata rows without image", record["rows_without_image"]),
        _names("images without metadata row", record["images_without_row"]),
        _names("images found in several folders", record["images_with_copies"]),
        _names("groups of byte-identical images", [" = ".join(g) for g in record["identical"]]),
        _names(
            "pairs of nearly the same picture", [" = ".join(p) for p in record["near_duplicates"]]
        ),
        _names("pairs of one lesion under two ids", [" = ".join(p) for p in record["known_pairs"]]),
        *([_names("images that cannot be decoded", record["not_compared"])] * unseen),
        "no lesion, no identical bytes and no near-duplicates on two sides",
    ]
    return "\n".join(lines)


def _numbers(splits: dict[str, dict[str, int]]) -> list[int]:
    """Images of each split and all, then lesions likewise."""
    images = [splits[split]["images"] for split in SPLITS]
    lesions = [splits[split]["lesions"] for split in SPLITS]
    return [*images, sum(images), *lesions, sum(lesions)]


def _line(name: str, numbers: Sequence[int]) -> str:
    cells = [f"{number:>7}" for number in numbers]
    half = len(cells) // 2
    return f"{name:6}{''.join(cells[:half])}  {''.join(cells[half:])}"


def _names(what: str, names: Sequence[str]) -> str:
    if not names:
        return f"{what}: 0"
    more = ", ..." if len(names) > SHOWN else ""
    return f"{what}: {len(names)} ({', '.join(names[:SHOWN])}{more})"
