"""The leak check of `evaluate`: images that the engine was trained on are refused, or left out."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from hambatch.engines.loading import installed_engines
from hambatch.engines.manifest import TRAINING_IMAGES, read_manifest
from hambatch.errors import InputError
from hambatch.evaluation.image_files import files_in, files_of_run
from hambatch.evaluation.join import Joined
from hambatch.evaluation.leaks import (
    CHECKS,
    Leaks,
    described,
    find_leaks,
    leaking_ids,
    not_checked,
    same,
)
from hambatch.evaluation.options import NONE, LeakOptions
from hambatch.evaluation.origin import Origin, origin_of, origin_out_of_fold
from hambatch.evaluation.out_of_fold import read_out_of_fold_record
from hambatch.evaluation.scored_by import ScoredBy, scored_by
from hambatch.evaluation.trained_images import Training, listed_by, training_of
from hambatch.ham10000.training_images import pictures_of, with_keys
from hambatch.sources.reading import Item

OUT_OF_FOLD = "out of fold: no image is by a network that saw its lesion"


class Checked(NamedTuple):
    """The images that are measured, and what ``evaluation.json`` says of leaks and of sources."""

    joined: Joined
    report: dict[str, Any]
    origin: Origin


def check_training(
    joined: Joined, predictions: Path, truth: Path, options: LeakOptions, *, second: bool = False
) -> Checked:
    """Stop where an evaluated image leaks from the training, or leave it out.

    ``second``: these are the other predictions, whose engine may have had another split table.

    Returns
    -------
    The report is JSON-able: whether the check was ``done``, of which ``engine``; if so
    ``trained_on`` and ``excluded``, how many of the ``evaluated`` images leak and are left out,
    and the rest of :func:`_found`; else ``why`` not, and ``no_engine`` if the user says that no
    engine made the predictions. ``origin`` is of the images that are measured.

    Raises InputError if an image leaks; if images are to be left out and it is not known which; or
    if the engine is not known, and an image is one that an installed engine was trained on.
    """
    if read_out_of_fold_record(predictions) is not None:
        report = {"done": False, "needed": False, "engine": None, "why": OUT_OF_FOLD}
        return Checked(joined, report, origin_out_of_fold(joined.images))
    by = scored_by(predictions, options.engine)
    training = training_of(by, truth, options.data, second=second)
    images = _with_keys(joined.images, by, training, predictions, options.images)
    if by.manifest is None and not by.another:
        _refuse_those_of_installed(images, by, predictions)
    if training is None or training.used.empty:
        report = _unknown(by, training, predictions, options)
        return Checked(joined, report, origin_of(images, None))
    leaks = find_leaks(images, training.used)
    leaking = leaking_ids(leaks)
    if leaking and (not options.exclude_trained or len(leaking) == len(images)):
        raise _refused(predictions, images, leaks, training)
    report = _found(images, training, by, len(leaking))
    kept = ~images["image_id"].isin(leaking).to_numpy(bool)
    origin = origin_of(images[kept], training)
    return Checked(joined.at(kept) if leaking else joined, report, origin)


def _with_keys(
    images: pd.DataFrame,
    by: ScoredBy,
    training: Training | None,
    predictions: Path,
    words: Sequence[Path],
) -> pd.DataFrame:
    """Add what the images are compared by, as far as it is known.

    Training images are known by the name of their file: ``file_id``, not the truth's id of a path.
    ``words`` name sources of the images. A split table tells the lesion and the hash of images that
    have none, and its images and those of the run are looked for where the records say.
    """
    files: dict[str, Path | Item] = {}
    if "lesion_id" not in images.columns:
        images = images.assign(lesion_id="")
    if training is not None and training.file is not None:
        known = training.images[training.images["image_id"] != ""].set_index("image_id")
        for column in ("lesion_id", "sha256"):
            theirs = images["file_id"].map(known[column]).fillna("")
            images = images.assign(**{column: images[column].mask(images[column] == "", theirs)})
        files |= training.files
        if by.record is not None:
            files |= files_of_run(by.record, predictions, set(images["sha256"]))
    if words:
        images, found = files_in(images, words, by.record)
        files |= found
    wanted = set(images["sha256"])
    pictures = pictures_of({k: file for k, file in files.items() if k in wanted})
    by_file = images.assign(image_id=images["file_id"])
    return with_keys(by_file, pictures).assign(image_id=images["image_id"])


def _found(images: pd.DataFrame, training: Training, by: ScoredBy, leaking: int) -> dict[str, Any]:
    """Say what was compared with what.

    Returns
    -------
    ``split``: the table, ``file`` is None if the engine's list stood for it; the ``sides`` trained
    on, ``assumed`` or not; ``training_images``, how many; ``checks`` that were made, and how many
    images were ``not_checked`` for what; ``pictures_not_compared``, how many ``evaluated`` and
    ``training`` images have no picture to compare; ``validation_images``, measured ones by which
    the training chose.
    """
    trained = training.used
    missing = not_checked(images, trained)
    chosen: set[str] = set()
    if "val" not in training.sides:
        validation = training.images[training.images["split"] == "val"]
        chosen = leaking_ids({key: same(key)(images, validation) for key in ("image", "content")})
    return {
        "done": True,
        "engine": by.manifest.name if by.manifest else None,
        "evaluated": len(images),
        "trained_on": leaking,
        "excluded": leaking,
        "sides": list(training.sides),
        "assumed": training.assumed,
        "split": {"file": training.file, "sha256": training.split_sha256},
        "training_images": len(trained),
        "checks": [what for what in CHECKS if missing.get(what, 0) < len(images)],
        "not_checked": missing,
        "pictures_not_compared": {
            "evaluated": int((images["picture"] == b"").sum()),
            "training": int((trained["picture"] == b"").sum()),
        },
        "validation_images": len(chosen),
    }


def _refused(
    predictions: Path, images: pd.DataFrame, leaks: Leaks, training: Training
) -> InputError:
    count, leaking = len(images), len(leaking_ids(leaks))
    following = "evaluate images that were held out, such as those of --split test"
    if leaking < count:
        following = f"add --exclude-trained to measure the other {count - leaking}, or {following}"
    return InputError(
        f"{predictions}: {leaking} of {count} evaluated images leak from the training images of "
        f"{training.name}: found {described(leaks)}; wanted images that share nothing with the "
        f"{len(training.used)} of split {' and '.join(training.sides)}.\nNext: {following}"
    )


def _unknown(
    by: ScoredBy, training: Training | None, predictions: Path, options: LeakOptions
) -> dict[str, Any]:
    """Say that it is not known what was trained on, and how to tell.

    Raises InputError if images were to be left out.
    """
    why, following = by.why, by.following
    if training is not None:
        why = f"{training.name} lists no training image (split {' or '.join(training.sides)})"
        following = "give the split table that the engine was trained with to --data"
    elif by.manifest is not None:
        name = by.manifest.name
        why = f"{name} has no {TRAINING_IMAGES}, so the images that it was trained on are not known"
        digest = by.manifest.data.get("split_sha256", "")[:12]
        table = f"the split table of its training{f' ({digest}...)' if digest else ''}"
        named = name if by.folder in installed_engines() else shlex.quote(str(by.folder))
        following = f"hambatch engines complete {named} --data split.csv, with {table}"
    if options.exclude_trained:
        raise InputError(
            f"{predictions}: found images to leave out, and {why}; wanted an engine that lists its "
            f"training images.\nNext: {following}"
        )
    return {
        "done": False,
        "needed": True,
        "engine": by.manifest.name if by.manifest else None,
        "no_engine": options.engine == NONE,
        "why": f"{why}; next: {following}",
    }


def _refuse_those_of_installed(images: pd.DataFrame, by: ScoredBy, predictions: Path) -> None:
    """Raise InputError if an installed engine, which may have made them, was trained on some."""
    for folder in installed_engines():
        training = listed_by(folder, read_manifest(folder))
        leaks = find_leaks(images, training.used) if training else {}
        if leaking := leaking_ids(leaks):
            name = folder.name
            raise InputError(
                f"{predictions}: {len(leaking)} of {len(images)} evaluated images are among those "
                f"that {name} was trained on: found {described(leaks)}, and {by.why}; wanted to "
                f"know whether {name} made these predictions.\n"
                f"Next: add --engine {name} if it did, or --engine {NONE} if no engine did"
            )
