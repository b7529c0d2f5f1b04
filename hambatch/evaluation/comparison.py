"""The story of `evaluate`: read both tables, join, measure, write."""

from pathlib import Path
from typing import Any

from hambatch import __version__
from hambatch.atomic import write_json
from hambatch.errors import InputError
from hambatch.evaluation.bootstrap import bootstrap_intervals
from hambatch.evaluation.confusion_plot import plot_confusion
from hambatch.evaluation.join import Joined, join
from hambatch.evaluation.metrics import evaluate
from hambatch.evaluation.predictions import read_predictions
from hambatch.evaluation.truth import read_truth
from hambatch.hashing import sha256_of_file
from hambatch.labels import CLASSES


def compare(predictions: Path, truth: Path, split: str | None = None) -> dict[str, Any]:
    """Measure a table of predictions against the truth.

    Returns
    -------
    JSON-able: what was compared, by name and hash; ``counts`` of
    :class:`~hambatch.evaluation.join.Joined`; the figures of
    :func:`~hambatch.evaluation.metrics.evaluate`; ``intervals`` of
    :func:`~hambatch.evaluation.bootstrap.bootstrap_intervals` and what they
    were ``grouped_by``. The same files give the same report.

    Raises
    ------
    InputError
        If a table cannot be used, or no image of the truth was scored.
    """
    joined = join(read_truth(truth, split), read_predictions(predictions))
    if not joined.counts["scored"]:
        raise _nothing_scored(predictions, truth, joined)
    intervals = bootstrap_intervals(joined.truth, joined.predicted, joined.groups)
    return {
        "hambatch": __version__,
        "predictions": _named(predictions),
        "truth": {**_named(truth), "split": split},
        "class_order": list(CLASSES),
        "counts": joined.counts,
        **evaluate(joined.truth, joined.predicted, joined.probabilities),
        "intervals": {**intervals, "grouped_by": joined.grouped_by},
    }


def write_report(report: dict[str, Any], out: Path) -> list[Path]:
    """Write ``confusion.png`` and ``evaluation.json`` into a folder, made if need be.

    Raises
    ------
    InputError
        If the folder cannot be made or written to.
    MissingDependency
        If matplotlib is not installed; then nothing is written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {out}: {error.strerror}.\n"
            "Next: give --out a folder that you may write to"
        ) from error
    written = [out / "confusion.png", out / "evaluation.json"]
    title = f"{report['n']} images, balanced accuracy {report['balanced_accuracy']:.3f}"
    plot_confusion(report["confusion_matrix"], written[0], title)
    write_json(written[1], report)
    return written


def _named(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": sha256_of_file(path)}


def _nothing_scored(predictions: Path, truth: Path, joined: Joined) -> InputError:
    counts = joined.counts
    return InputError(
        f"{predictions}: found no ok prediction for any of the {counts['truth']} images of {truth} "
        f"({counts['failed']} failed, {counts['missing']} without a row, "
        f"such as {(counts['failed_named'] + counts['missing_named'])[0]!r}); "
        "wanted images named image_id.jpg or the like.\n"
        "Next: hambatch score IMAGES --out preds.csv, with the images of that truth"
    )
