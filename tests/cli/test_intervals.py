"""An interval that `evaluate` prints holds the figure that it stands beside, or there is none.

Row 13 of the list of wrong figures: "ECE equal mass 0.054, 0.055 to 0.106".
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result

from hambatch.cli import hambatch

CLASSES = "akiec bcc bkl df mel nv vasc".split()

Found = tuple[str, float, list[float]]

HEADER = ",".join(["image", "status", "prediction", *(f"p_{name}" for name in CLASSES)])


def write_predictions(path: Path, p: np.ndarray) -> Path:
    rows = [
        f"i{k}.jpg,ok,{CLASSES[values.argmax()]},{','.join(f'{v:.6f}' for v in values)}"
        for k, values in enumerate(p)
    ]
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def write_truth(path: Path, truth: np.ndarray) -> Path:
    rows = [f"i{k},L{k},{CLASSES[dx]},{20 + 10 * (k % 7)}" for k, dx in enumerate(truth)]
    path.write_text("\n".join(["image_id,lesion_id,dx,age", *rows]) + "\n")
    return path


def probabilities(seed: int, n: int) -> np.ndarray:
    logits = 2.0 * np.random.default_rng(seed).normal(size=(n, 7))
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def evaluated(folder: Path, truth: np.ndarray, *p: np.ndarray, as_json: bool = True) -> Result:
    """Evaluate the first predictions against the second, if there are any."""
    tables = [write_predictions(folder / f"preds{k}.csv", values) for k, values in enumerate(p)]
    given = ["evaluate", tables[0], "--truth", write_truth(folder / "truth.csv", truth)]
    given += ["--against", tables[1]] if len(p) > 1 else []
    done = CliRunner().invoke(hambatch, [*map(str, given), *(["--json"] if as_json else [])])
    assert done.exit_code == 0, done.output
    return done


def calibrated_predictions() -> tuple[np.ndarray, np.ndarray]:
    """300 images whose probabilities mean what they say: the true calibration error is 0."""
    p = probabilities(5, 300)
    rng = np.random.default_rng(6)
    return p, np.array([rng.choice(7, p=values) for values in p])


def calibrated(folder: Path, as_json: bool = True) -> Result:
    p, truth = calibrated_predictions()
    return evaluated(folder, truth, p, as_json=as_json)


def pairs(figures: Any, intervals: Any, place: str = "") -> Iterator[Found]:
    """Every figure with an interval in the same place."""
    if isinstance(intervals, dict):
        for name, below in intervals.items():
            at = figures.get(name) if isinstance(figures, dict) else None
            yield from pairs(at, below, f"{place}.{name}")
    elif isinstance(intervals, list) and isinstance(figures, int | float):
        yield place, figures, intervals


def all_pairs(report: dict[str, Any]) -> list[Found]:
    bins = {str(k): one["accuracy"] for k, one in enumerate(report["reliability"])}
    found = list(pairs(report | {"reliability": bins}, report["intervals"]))
    for column, groups in report["subgroups"].items():
        for group in groups:
            found += pairs(group, group["intervals"], f"{column} {group['group']}")
    if report["against"]:
        found += compared(report["against"]["figures"])
    return found


def compared(figures: dict[str, Any], place: str = "difference") -> Iterator[Found]:
    for name, one in figures.items():
        if "interval" not in one:
            yield from compared(one, f"{place}.{name}")
        elif one["interval"] is not None:
            yield f"{place}.{name}", one["difference"], one["interval"]


def outside(found: list[Found]) -> list[Found]:
    return [one for one in found if not one[2][0] - 1e-9 <= one[1] <= one[2][1] + 1e-9]


def test_the_interval_of_a_calibration_error_holds_it(tmp_path: Path) -> None:
    found = all_pairs(json.loads(calibrated(tmp_path).stdout))
    assert len(found) > 100
    assert outside(found) == []
    assert {".ece", ".ece_equal_mass"} <= {place for place, _, _ in found}


def test_what_the_terminal_prints_holds_it_too(tmp_path: Path) -> None:
    lines = calibrated(tmp_path, as_json=False).stdout.splitlines()
    shown = {}
    for name in ("ECE ", "ECE equal mass "):
        words = next(line for line in lines if line.startswith(name)).split()
        shown[name] = float(words[-4]), float(words[-3]), float(words[-1])
    for figure, low, high in shown.values():
        assert low <= figure <= high
        # The true error of these predictions is 0.
        assert low == 0


def test_the_interval_of_a_difference_of_calibration_errors_holds_it(tmp_path: Path) -> None:
    # The first is always right, and as sure of it everywhere: only the second is biased.
    p, truth = calibrated_predictions()
    sure = np.eye(7)[truth] * 0.93 + 0.01
    report = json.loads(evaluated(tmp_path, truth, sure, p).stdout)
    assert outside(all_pairs(report)) == []
    assert "interval" in report["against"]["figures"]["ece"]


def test_where_most_draws_lack_the_rare_classes_there_is_no_interval_but_a_reason(
    tmp_path: Path,
) -> None:
    # One image a class, all wrong: a draw that lacks one counts it as right in ISIC's measures.
    p = np.roll(np.eye(7) * 0.94 + 0.01, 1, axis=1)[np.arange(7)]
    report = json.loads(evaluated(tmp_path, np.arange(7), p).stdout)
    assert outside(all_pairs(report)) == []
    why = report["intervals"]["no_interval"]
    assert "too few lesions" in why["isic_2018_task3.macro_average.sensitivity"]
