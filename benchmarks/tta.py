"""What does `hambatch score --tta N` gain on test images, and what does it cost?

Gain: the test images of a split table are scored once with each number of views, and the
figures compared with those of one view, in the same bootstrap draws of lesions. Cost: some
of the same images, whole processes less one that scores a single image, taking turns; the
first turn warms up and is dropped::

    python benchmarks/tta.py --data split.csv --out result.json

Needs the checkout's tests and `pip install '.[test]'`.
"""

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from result import parser_of, publish

from hambatch.engines.loading import find_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.evaluation.evaluate import compare
from hambatch.system.files import sha256_of_file
from hambatch.training.dataset import read_dataset
from tests.faults.command import Command

VIEWS = (1, 2, 4, 8)

GAINS = (
    "accuracy",
    "balanced_accuracy",
    "roc_auc_malignant",
    "roc_auc_melanoma",
    "ece",
    "log_loss",
)


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the engine's split table")
    parser.add_argument("--engine", default=DEFAULT_ENGINE)
    parser.add_argument("--count", type=int, default=200, help="images that are timed")
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    dataset = read_dataset(chosen.data)
    rows, engine = dataset.part("test"), find_engine(chosen.engine)
    with tempfile.TemporaryDirectory(prefix="hambatch-tta-") as temporary:
        place = Path(temporary)
        for name, count in (("all", len(rows)), ("timed", chosen.count), ("single", 1)):
            copy(rows.iloc[:count], dataset.files, place / name)
        result = {
            "question": "what does test-time augmentation gain, and what does it cost?",
            "engine_json_sha256": sha256_of_file(engine / "engine.json"),
            "split_table_sha256": dataset.split_sha256,
            "gain": gain(place, engine, chosen.data),
            "cost": cost(place, engine, chosen.repeats),
            "timed_images": chosen.count,
        }
    publish(chosen.out, result, {name: result[name] for name in ("gain", "cost")})


def copy(rows: pd.DataFrame, files: dict[str, Path], folder: Path) -> None:
    """Give the images a folder of their own."""
    folder.mkdir()
    for image, sha256 in zip(rows["image_id"], rows["sha256"], strict=True):
        shutil.copy(files[sha256], folder / f"{image}{files[sha256].suffix}")


def gain(place: Path, engine: Path, data: Path) -> dict[str, Any]:
    """Figures by number of views; of more than one, the differences to one."""
    tables = {views: scored(place / "all", engine, views)[0] for views in VIEWS}
    found: dict[str, Any] = {"backend": backend_of(tables[1])}
    for views, table in tables.items():
        report = compare(table, data, "test", against=tables[1] if views > 1 else None)
        found["images"] = report["n"]
        figures = {name: report[name] for name in GAINS}
        if views > 1:
            figures["less_one_view"] = {
                name: {
                    key: report["against"]["figures"][name][key]
                    for key in ("difference", "interval")
                }
                for name in GAINS
            }
        found[str(views)] = figures
    return found


def backend_of(table: Path) -> str:
    """What scored it, as its rows say."""
    return str(pd.read_csv(table)["backend"].iloc[0])


def cost(place: Path, engine: Path, repeats: int) -> dict[str, Any]:
    """Images per second by number of views, and how many times as long each takes as one view."""
    images = len(list((place / "timed").iterdir()))
    seconds: dict[int, list[float]] = {views: [] for views in VIEWS}
    for turn in range(repeats + 1):
        for views in VIEWS:
            startup = scored(place / "single", engine, views)[1]
            taken = scored(place / "timed", engine, views)[1] - startup
            if turn:
                seconds[views].append(taken / (images - 1))
    return {
        str(views): {
            "images_per_s": round(1 / statistics.median(found), 2),
            "times_one_view": round(
                statistics.median(n / one for n, one in zip(found, seconds[1], strict=True)), 2
            ),
            "seconds_an_image": found,
        }
        for views, found in seconds.items()
    }


def scored(folder: Path, engine: Path, views: int) -> tuple[Path, float]:
    """Score a folder in a process of its own: the table, and how long it took."""
    out = folder.with_name(f"{folder.name}_{views}.csv")
    out.unlink(missing_ok=True)
    out.with_name(f"{out.name}.run.json").unlink(missing_ok=True)
    command = Command(folder, out, engine, folder.with_name("scratch"), ("--tta", str(views)))
    started = time.perf_counter()
    command.finish()
    return out, time.perf_counter() - started


if __name__ == "__main__":
    main()
