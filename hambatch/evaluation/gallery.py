"""The worst errors: which images they are, and their pictures for the page.

No image is decoded in this process: a worker decodes them, as in scoring. A file that kills its
decoder costs its own picture and nothing else.
"""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.backends import PIXELS
from hambatch.backends.placing import REQUEST_SIZE
from hambatch.engines.backend_names import FP32
from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import find_engine
from hambatch.engines.manifest import read_manifest
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.errors import HambatchError, InputError
from hambatch.evaluation.image_files import Files, files_in, files_of_run
from hambatch.evaluation.join import Joined
from hambatch.evaluation.options import LeakOptions
from hambatch.evaluation.sample import MALIGNANT_CLASSES
from hambatch.evaluation.scored_by import ScoredBy, scored_by
from hambatch.explanation.heat_map import shown_size
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.scoring.rows import Unwatched
from hambatch.scoring.worker.protocol import Job
from hambatch.scoring.worker.supervisor import SupervisedWorker
from hambatch.sources.reading import Item, fetch
from hambatch.system.text import image_id_of

Gallery = dict[str, list[dict[str, Any]]]
"""Kind of error to its images, the worst first."""


def worst_errors(joined: Joined, most: int) -> Gallery:
    """List the worst errors of each kind, ``most`` at most.

    Returns
    -------
    ``missed_malignant``: malignant images with a benign label, the lowest ``p_malignant`` first;
    ``false_alarms``: benign images with a malignant label, the highest first; ``wrong_labels``:
    other images with a wrong label, the highest confidence first. Of each image ``image_id``, its
    name in the predictions ``image``, ``sha256``, ``truth``, ``prediction``, ``p_malignant`` and
    ``probabilities`` by class. No image is listed twice; of equals the first by ``image_id``.
    """
    sample, p = joined.sample, joined.p_malignant
    called = np.isin(sample.predicted, MALIGNANT_CLASSES)
    missed, alarms = sample.malignant & ~called, ~sample.malignant & called
    others = ~sample.correct & ~missed & ~alarms
    ids = joined.images["image_id"].to_numpy(str)

    def first(chosen: NDArray[np.bool_], falling: NDArray[np.float64]) -> list[dict[str, Any]]:
        rows = np.flatnonzero(chosen)
        order = np.lexsort((ids[rows], -falling[rows]))
        return [_entry(joined, int(row)) for row in rows[order[:most]]]

    return {
        "missed_malignant": first(missed, -p),
        "false_alarms": first(alarms, p),
        "wrong_labels": first(others, sample.confidence),
    }


def _entry(joined: Joined, row: int) -> dict[str, Any]:
    image = joined.images.iloc[row]
    return {
        "image_id": image["image_id"],
        "image": image["path"],
        "sha256": image["sha256"],
        "truth": CLASSES[joined.truth[row]],
        "prediction": CLASSES[joined.predicted[row]],
        "p_malignant": float(joined.p_malignant[row]),
        "probabilities": dict(zip(CLASSES, joined.probabilities[row].tolist(), strict=True)),
    }


@dataclass(frozen=True)
class Picture:
    """A JPEG in base64, or ``why`` there is none."""

    jpeg: str = ""
    why: str = ""


NOT_FOUND = "not shown: not found, or not what was scored; --images says where to look"


def gallery_pictures(gallery: Gallery, predictions: Path, leaks: LeakOptions) -> dict[str, Picture]:
    """Decode the images of a gallery, each with its own picture or the reason for none.

    They are looked for in ``leaks.images``, or else where the record of the run says.

    Returns
    -------
    ``image_id`` to its picture. Nothing that is wrong with an image, an engine or a worker is an
    error.
    """
    entries = [entry for found in gallery.values() for entry in found]
    if not entries:
        return {}
    pictures = {entry["image_id"]: Picture(why=NOT_FOUND) for entry in entries}
    try:
        by = scored_by(predictions, leaks.engine)
        hashes, files = _files_of(entries, predictions, leaks.images, by)
        folder = by.folder if by.manifest else find_engine(DEFAULT_ENGINE)
        by_hash = dict(_decoded(files, folder))
    except HambatchError as error:
        why = f"not shown: {str(error).partition(chr(10))[0]}"
        return dict.fromkeys(pictures, Picture(why=why))
    known = {image_id: by_hash[h] for image_id, h in hashes.items() if h in by_hash}
    return pictures | known


def _files_of(
    entries: Sequence[Mapping[str, Any]], predictions: Path, words: Sequence[Path], by: ScoredBy
) -> tuple[dict[str, str], Files]:
    """Find files: sha256 by image_id, and the files by sha256."""
    images = pd.DataFrame(
        {
            "image_id": [entry["image_id"] for entry in entries],
            "file_id": [image_id_of(entry["image"]) for entry in entries],
            "sha256": [entry["sha256"] for entry in entries],
            "path": [entry["image"] for entry in entries],
        }
    )
    files: Files = {}
    if words:
        try:
            images, files = files_in(images, words, by.record)
        except InputError:
            return {}, {}  # None of them is there.
    elif by.record is not None:
        files = files_of_run(by.record, predictions, set(images["sha256"]) - {""})
    return dict(zip(images["image_id"], images["sha256"], strict=True)), files


def _decoded(files: Files, engine: Path) -> Iterator[tuple[str, Picture]]:
    """Yield sha256 and picture of every file; a worker decodes them."""
    if not files:
        return
    hashes = list(files)
    items = {k: replace(item, index=k) for k, item in enumerate(files.values())}
    job, upright = _job(engine), read_manifest(engine).preprocessing.exif_orientation
    with SupervisedWorker(job) as worker:
        for answer in worker.answers(Unwatched(REQUEST_SIZE).batches(items.values())):
            for failure in answer.failures:
                yield hashes[failure.index], Picture(why=f"not shown: {failure.reason}")
            if answer.explained is None:
                continue
            for index, sha256, pixels in zip(
                answer.indices.tolist(), answer.sha256, answer.explained.images, strict=True
            ):
                if sha256 == hashes[index]:
                    size = _size(items[index], job, upright=upright)
                    yield sha256, Picture(jpeg=b64encode(thumbnail(pixels, size)).decode("ascii"))


def _job(engine: Path) -> Job:
    how = ScoreOptions.on_cpu(engine=str(engine), precision=FP32, batch_size=REQUEST_SIZE)
    return replace(plan_run(engine, how).job, backend=PIXELS)


def _size(item: Item, job: Job, *, upright: bool) -> tuple[int, int] | None:
    """Read width and height from the header, as `hambatch explain` does."""
    return shown_size(fetch(item, job.bounds).content, exif_orientation=upright)


def thumbnail(pixels: NDArray[np.uint8], size: tuple[int, int] | None) -> bytes:
    """Encode uint8 ``[height, width, 3]`` as a JPEG in the shape of the image, if it is known.

    The engine sees a square; the longer side of the picture is as long as that of the square.
    """
    from PIL import Image

    image, longest = Image.fromarray(pixels), max(pixels.shape[:2])
    if size:
        shape = [max(1, round(longest * side / max(size))) for side in size]
        image = image.resize((shape[0], shape[1]), Image.Resampling.BICUBIC)
    stream = BytesIO()
    image.save(stream, format="JPEG", quality=85)
    return stream.getvalue()
