"""What do the image checks catch, and how often are they wrong? Which score is best for `ood`?

    python benchmarks/image_checks.py --data split.csv --other "ISIC 2017.csv" --out result.json

Images are scored by the FP32 graph of an engine:

held out    the parts gate and test of the split table, and the part test of the other one: how many
            are flagged, though they are as they should be
pictures    that are no lesions (non_lesions.py), 20 of each kind
degraded    100 images of the part test, 55 of them melanomas, in each kind and strength
            (degradations.py)

Kinds of the lists LATER were written when measures and limits were there; they chose nothing. For
each kind: the share flagged, the area under the ROC curve of `ood` against the held-out images of
the split table, and how many of the melanomas that lost their label are flagged. Scores that were
compared with `ood` are measured on the same pictures: the share caught where 5 % of the held-out
images are.
"""

import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import degradations
import non_lesions
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from result import parser_of, publish
from sklearn.metrics import roc_auc_score

from hambatch.backends import load_backend
from hambatch.engines.classes import CLASSES
from hambatch.engines.feature_statistics import FeatureStatistics, read_feature_statistics
from hambatch.engines.image_checks import read_image_checks
from hambatch.engines.loading import find_engine, load_engine
from hambatch.ham10000.table import dataset_root, read_split
from hambatch.pipelines.pillow_lane import resize_linear
from hambatch.risk.checking import Checked, Checker
from hambatch.risk.out_of_distribution import Subspace
from hambatch.system.cpu import available_cores
from hambatch.types import Batch

OF_EACH, MELANOMAS, OTHERS, BATCH_SIZE, SEED = 20, 55, 45, 64, 29
"""Pictures of a kind; images of the part test that are degraded."""

FALSE_ALARMS = 0.05

MELANOMA = CLASSES.index("mel")

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """What is scored: ``group`` and ``kind`` as in the result, and what makes the pixels."""

    group: str
    kind: str
    later: bool
    image_id: str
    dx: str
    draw: Callable[[], Pixels]


def main() -> None:
    """Draw, score, count and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="split table of hambatch prepare")
    parser.add_argument("--other", type=Path, required=True, help="table of other_source.py")
    parser.add_argument("--engine", default="three-sources-resnet50")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--most", type=int, default=10**6, help="images of each held-out part")
    chosen = parser.parse_args()
    engine = load_engine(find_engine(chosen.engine))
    pictures = [*held_out(chosen.data, chosen.other, chosen.most), *drawn(), *worse(chosen.data)]
    backend = load_backend("openvino", engine, chosen.precision, available_cores())
    found, statistics = (
        read_image_checks(engine.folder, engine.manifest),
        read_feature_statistics(engine.folder, engine.manifest),
    )
    if found is None or statistics is None:
        raise SystemExit(f"{chosen.engine} has no limits of image checks")
    checker = Checker(found[0].limits, Subspace(found[1]))
    rows: list[dict[str, Any]] = []
    for scored in backend.predict(batches(pictures)):
        checked = checker.check_all(scored.batch.images, scored.features)  # type: ignore[arg-type]
        others = other_scores(scored.features, scored.logits, statistics)
        for slot, index in enumerate(scored.batch.indices):
            at = {name: values[slot] for name, values in others.items()}
            rows.append(row_of(pictures[index], checked[slot], scored.logits[slot], at))
    result = figures(pd.DataFrame(rows))
    result = {"engine": engine.manifest.name, "precision": chosen.precision, **result}
    publish(chosen.out, result, {name: result[name] for name in ("held_out", "bars")})


def held_out(data: Path, other: Path, most: int) -> Iterator[Picture]:
    """Find the images that are as they should be."""
    for table, part, name in ((data, "gate", "gate"), (data, "test", "test"), (other, "test", "")):
        rows, root = read_split(table), dataset_root(table)
        kept = rows[rows["split"] == part]
        for row in kept.sample(min(most, len(kept)), random_state=SEED).itertuples():
            draw = reading(root / str(row.file))
            yield Picture("held out", name or table.stem, False, row.image_id, row.dx, draw)


def drawn() -> Iterator[Picture]:
    """Draw pictures that are no lesions."""
    for later, kinds in enumerate((non_lesions.KINDS, non_lesions.LATER)):
        for kind, draw in kinds.items():
            for number in range(OF_EACH):
                seed = [number, zlib.crc32(kind.encode())]
                made = saved(lambda draw=draw, seed=seed: draw(np.random.default_rng(seed)))
                yield Picture("picture", kind, bool(later), f"{kind}_{number}", "", made)


def worse(data: Path) -> Iterator[Picture]:
    """Degrade images of the part test."""
    rows, root = read_split(data), dataset_root(data)
    test = rows[rows["split"] == "test"]
    parts = ((test["dx"] == "mel", MELANOMAS), (test["dx"] != "mel", OTHERS))
    chosen = pd.concat([test[of].sample(count, random_state=SEED) for of, count in parts])
    for row in chosen.itertuples():
        read = reading(root / str(row.file))
        yield Picture("before", "as it was", False, row.image_id, row.dx, read)
        for later, kinds in enumerate((degradations.KINDS, degradations.LATER)):
            for kind, (degrade, strengths) in kinds.items():
                for strength in strengths:
                    name = f"{kind} {strength:g}"
                    seed = zlib.crc32(f"{row.image_id} {name}".encode())
                    make = saved(degraded(read, degrade, strength, seed))
                    yield Picture("degraded", name, bool(later), row.image_id, row.dx, make)


def reading(path: Path) -> Callable[[], Pixels]:
    """Give what reads a file."""
    return lambda: np.asarray(Image.open(path).convert("RGB"))


def degraded(
    read: Callable[[], Pixels], degrade: degradations.Degrade, strength: float, seed: int
) -> Callable[[], Pixels]:
    """Give what reads and degrades."""
    return lambda: degrade(read(), strength, np.random.default_rng(seed))


def saved(draw: Callable[[], Pixels]) -> Callable[[], Pixels]:
    """Give what draws, and passes it through a JPEG as of a camera."""

    def make() -> Pixels:
        stream = io.BytesIO()
        Image.fromarray(draw()).save(stream, "jpeg", quality=95, subsampling=0)
        return np.asarray(Image.open(stream).convert("RGB"))

    return make


def batches(pictures: Sequence[Picture]) -> Iterator[Batch]:
    """Make the network's inputs."""
    for first in range(0, len(pictures), BATCH_SIZE):
        some = pictures[first : first + BATCH_SIZE]
        images = np.stack([resize_linear(one.draw(), 224, 224) for one in some])
        nothing = [""] * len(some)
        yield Batch(np.arange(first, first + len(some)), images, nothing, nothing)


def other_scores(
    features: NDArray[np.float32], logits: NDArray[np.float32], found: FeatureStatistics
) -> dict[str, NDArray[np.float64]]:
    """Compute rivals of `ood`: the higher, the more unlike; float64 ``[n]`` each."""
    exact, axes = features.astype(np.float64), found.axes.astype(np.float64)
    means, logs = found.class_means.astype(np.float64), logits.astype(np.float64)
    variances = found.variances.astype(np.float64)
    distances = []
    for mean in means:
        along = (exact - mean) @ axes.T
        rest = ((exact - mean) ** 2).sum(axis=1) - (along**2).sum(axis=1)
        distances.append((along**2 / variances).sum(axis=1) + rest / float(found.rest))
    known = found.projections.astype(np.float64) * float(found.unit)
    here = (exact - means.mean(axis=0)) @ axes.T
    known, here = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (known, here))
    near = np.partition(-(here @ known.T), 9, axis=1)[:, 9]
    top = logs.max(axis=1)
    energy = top + np.log(np.exp(logs - top[:, None]).sum(axis=1))
    share = 1 / np.exp(logs - top[:, None]).sum(axis=1)
    return {
        "Mahalanobis distance to the nearest class": np.min(distances, axis=0),
        "cosine to the tenth nearest training image": near,
        "energy of the logits": -energy,
        "highest probability": -share,
    }


def row_of(
    picture: Picture, checked: Checked, logits: NDArray[np.float32], others: dict[str, float]
) -> dict[str, Any]:
    """Lay out what was found of one picture."""
    return {
        **{name: getattr(picture, name) for name in ("group", "kind", "later", "image_id", "dx")},
        "ood": checked.ood,
        "unlike": checked.ood > 1,
        "quality": checked.quality,
        "flagged": checked.ood > 1 or bool(checked.quality),
        "melanoma": int(logits.argmax()) == MELANOMA,
        **others,
    }


def figures(rows: pd.DataFrame) -> dict[str, Any]:
    """Count."""
    clean = rows[(rows["group"] == "held out") & rows["kind"].isin(("gate", "test"))]
    before = rows[rows["group"] == "before"].set_index("image_id")
    right = rows["image_id"].map(before["melanoma"] & (before["dx"] == "mel")).fillna(False)
    rows["lost"] = (rows["group"] == "degraded") & right.astype(bool) & ~rows["melanoma"]
    pictures = rows[rows["group"] == "picture"]
    dark_or_blurred = rows["kind"].str.startswith(("dark ", "blur "))
    return {
        "held_out": by_kind(rows[rows["group"] == "held out"], clean),
        "held_out_by_class": shares(clean, "dx"),
        "pictures": by_kind(pictures, clean),
        "degraded": by_kind(rows[rows["group"] == "degraded"], clean),
        "bars": {
            "non-lesions flagged": share(pictures[~pictures["later"]]),
            "non-lesions flagged, later kinds": share(pictures[pictures["later"]]),
            "dark or blurred melanomas that lost their label": share(
                rows[rows["lost"] & dark_or_blurred]
            ),
            "melanomas that lost their label": share(rows[rows["lost"] & ~rows["later"]]),
            "melanomas that lost their label, later kinds": share(
                rows[rows["lost"] & rows["later"]]
            ),
            "held-out images flagged": share(clean),
        },
        "scores": {name: rival(rows, clean, name) for name in ("ood", *rows.columns[10:-1])},
    }


def share(rows: pd.DataFrame) -> dict[str, Any]:
    """Give how many are flagged."""
    flagged = int(rows["flagged"].sum())
    of = len(rows)
    return {"images": of, "flagged": flagged, "share": round(flagged / of, 4) if of else None}


def shares(rows: pd.DataFrame, column: str) -> dict[str, Any]:
    """Give how many are flagged, by a column."""
    return {str(name): share(some) for name, some in rows.groupby(column)}


def by_kind(rows: pd.DataFrame, clean: pd.DataFrame) -> dict[str, Any]:
    """Give figures of each kind."""
    found = {}
    for kind, some in rows.groupby("kind", sort=False):
        words = some["quality"].str.split().explode().dropna().value_counts().to_dict()
        area = roc_auc_score([0] * len(clean) + [1] * len(some), [*clean["ood"], *some["ood"]])
        found[str(kind)] = {
            **share(some),
            "later": bool(some["later"].iloc[0]),
            "unlike": int(some["unlike"].sum()),
            "quality": words,
            "roc_auc_of_ood": round(float(area), 4),
            "lost": int(some["lost"].sum()),
            "lost_and_flagged": int((some["lost"] & some["flagged"]).sum()),
        }
    return found


def rival(rows: pd.DataFrame, clean: pd.DataFrame, name: str) -> dict[str, float]:
    """Compare a score on pictures and on degraded images."""
    limit, found = float(np.quantile(clean[name], 1 - FALSE_ALARMS)), {}
    for group in ("picture", "degraded"):
        some = rows[rows["group"] == group][name]
        truth = [0] * len(clean) + [1] * len(some)
        found[f"roc_auc, {group}"] = round(float(roc_auc_score(truth, [*clean[name], *some])), 4)
        found[f"caught, {group}"] = round(float((some > limit).mean()), 4)
    return found


if __name__ == "__main__":
    main()
