"""Which predictions a certificate may rest on: the engine's own, on lesions that it never used."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hambatch.engines.backend_names import parse_backend
from hambatch.engines.certificates import CERTIFY, EXTERNAL, Origin
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.manifest import Manifest
from hambatch.engines.measurements import Scored
from hambatch.engines.probabilities import temperature_of
from hambatch.errors import InputError
from hambatch.evaluation.join import Joined
from hambatch.evaluation.leak_check import check_training
from hambatch.evaluation.options import AS_HAM10000, NONE, LabelOptions, LeakOptions
from hambatch.evaluation.origin import EXTERNAL as OF_NO_SOURCE
from hambatch.evaluation.out_of_fold import read_out_of_fold_record
from hambatch.evaluation.scored_by import engine_of, scored_by
from hambatch.scoring.record import read_record
from hambatch.sinks.publish import record_path
from hambatch.system.files import sha256_of_file
from hambatch.system.text import excerpt, first_names

FOR_AN_ESTIMATE = "or add --estimate for figures that promise nothing"

GRAPH = "graph_sha256"

OWN_PART = f"hambatch certify PREDS --truth split.csv --split {CERTIFY}"


@dataclass(frozen=True)
class Eligible:
    """What a certificate says of predictions: who made them, and which images they are of.

    ``leak_check`` and ``images`` are the report and the origin of
    :func:`~hambatch.evaluation.leak_check.check_training`.
    """

    engine: Engine
    scored: Scored
    engine_json_sha256: str
    origin: Origin
    leak_check: dict[str, Any]
    images: dict[str, Any]


def eligible(
    joined: Joined,
    predictions: Path,
    truth: Path,
    split: str | None,
    leaks: LeakOptions,
    labels: LabelOptions = AS_HAM10000,
) -> Eligible:
    """Check that neither training nor calibration nor a choice saw the images.

    Raises InputError if one did or it is not known, or if the predictions are not those of the
    engine as it is now.
    """
    if read_out_of_fold_record(predictions) is not None:
        raise refused(
            predictions,
            "out-of-fold predictions, by other networks than the engine",
            "predictions of the engine itself",
            OWN_PART,
        )
    used, by = engine_of(predictions), scored_by(predictions, leaks.engine)
    if used is None or by.manifest is None:
        following = "hambatch score IMAGES --engine ENGINE --out preds.csv"
        why = by.why or f"{predictions.name} without a record that describes it"
        raise refused(predictions, why, "a table with the record of its run", following)
    given = leaks.engine not in (None, NONE)
    engine = load_engine(find_engine(str(leaks.engine)) if given else by.folder)
    _refuse_other_scores(predictions, used, engine.manifest)
    checked = check_training(joined, predictions, truth, leaks)
    _refuse_seen(predictions, checked.report)
    if labels != AS_HAM10000 and _is_own(truth, engine.manifest):
        found = "other columns, or a map of labels, for the split table of the engine"
        raise refused(truth, found, "its own columns: image_id, dx and lesion_id", OWN_PART)
    origin = _origin(joined, truth, split, engine.manifest, checked.origin)
    how = ("backend", "precision", "views", "temperature", GRAPH)
    return Eligible(
        engine,
        Scored(*(used[name] for name in how)),
        used["engine_json_sha256"],
        origin,
        checked.report,
        checked.origin,
    )


def _refuse_other_scores(predictions: Path, used: dict[str, Any], manifest: Manifest) -> None:
    """Refuse a graph or a temperature that is not the engine's, and rows of several precisions."""
    following = f"hambatch score IMAGES --engine {manifest.name} --out preds.csv"
    if used[GRAPH] not in manifest.graphs:
        graphs = " or ".join(sorted(manifest.graphs))
        found = f"predictions by {excerpt(str(used['name']))}, graph {used[GRAPH]}"
        raise refused(predictions, found, f"a graph of {manifest.name}, {graphs}", following)
    if used["temperature"] != (wanted := temperature_of(manifest)):
        found = f"predictions with temperature {used['temperature']}"
        raise refused(predictions, found, f"{wanted}, that of {manifest.name}", following)
    counts = read_record(record_path(predictions)).get("counts", {})
    names = map(parse_backend, counts.get("backends", {}))
    several = sorted({f"{name.library}-{name.precision}" for name in names})
    if len(several) > 1:
        found = f"rows by {first_names(several)}"
        raise refused(predictions, found, "one backend and precision", following)


def _refuse_seen(predictions: Path, check: dict[str, Any]) -> None:
    if not check["done"]:
        why = excerpt(check["why"], 1000)
        raise refused(
            predictions,
            f"no leak check ({why})",
            "images that are known not to be trained on",
            "do that",
        )
    if check["trained_on"]:
        found = f"{check['trained_on']} images that were trained on"
        raise refused(predictions, found, "a truth without them", OWN_PART)
    if check["validation_images"]:
        found = f"{check['validation_images']} images by which the weights were chosen (split val)"
        raise refused(predictions, found, "images that chose nothing", OWN_PART)


def _is_own(truth: Path, manifest: Manifest) -> bool:
    """Tell whether a truth is the split table that the engine was trained with."""
    return sha256_of_file(truth) == manifest.data.get("split_sha256")


def _origin(
    joined: Joined, truth: Path, split: str | None, manifest: Manifest, images: dict[str, Any]
) -> Origin:
    """Tell which of the two kinds of images they are; raises InputError if neither."""
    if not _is_own(truth, manifest):
        if images["kind"] == OF_NO_SOURCE:
            return EXTERNAL
        why = f" ({images['why']})" if images["why"] else ""
        raise refused(
            truth,
            f"images whose origin is {images['kind']}{why}",
            f"the split {CERTIFY} of the engine's own table, or images of no source of its "
            "training",
            OWN_PART,
        )
    if split != CERTIFY:
        found = f"--split {split}" if split else "all splits"
        wanted = f"its split {CERTIFY}: training, choices, calibration or tests used the others"
        raise refused(truth, f"{found} of the table of {manifest.name}", wanted, OWN_PART)
    fitted = manifest.calibration.fitted_on if manifest.calibration else None
    if fitted and CERTIFY in fitted.parts:
        found = f"a temperature that was fitted on the split {CERTIFY}"
        following = "hambatch engines calibrate ENGINE --data split.csv --split val"
        raise refused(truth, found, "one that was fitted on other images", following)
    if missing := joined.counts["missing"]:
        named = first_names(joined.counts["missing_named"])
        found = f"{missing} images of the split {CERTIFY} without a row ({named})"
        raise refused(truth, found, "a row for each", "score all of its images")
    return CERTIFY


def refused(path: Path, found: str, wanted: str, following: str) -> InputError:
    """Say why there is no certificate."""
    return InputError(
        f"{path}: found {found}; wanted {wanted}, for a certificate.\n"
        f"Next: {following}, {FOR_AN_ESTIMATE}"
    )
