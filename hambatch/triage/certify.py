"""The story of `certify`: join predictions with the truth, choose a threshold, seal it."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hambatch import __version__
from hambatch.engines.additions import write_additions
from hambatch.engines.certificates import Certificate, CertifiedOn, Found, Promise
from hambatch.engines.loading import load_engine, restore_card
from hambatch.engines.manifest import Manifest
from hambatch.engines.referral import UNIT
from hambatch.errors import InputError
from hambatch.evaluation.join import Joined, join_scored
from hambatch.evaluation.options import AS_HAM10000, DEFAULTS, LabelOptions, LeakOptions
from hambatch.evaluation.scored_by import engine_of
from hambatch.evaluation.tables import LESION, read_predictions
from hambatch.evaluation.truth import Truth, read_truth
from hambatch.system.files import sha256_of_file
from hambatch.system.schema import convert
from hambatch.triage.eligibility import Eligible, eligible
from hambatch.triage.figures import figures_at
from hambatch.triage.lesions import Lesions, lesions_of, not_scored
from hambatch.triage.options import CertifyOptions
from hambatch.triage.threshold import (
    METHOD,
    STEP,
    certified_threshold,
    most_missed,
    needed_lesions,
)

CERTIFICATE, ESTIMATE = "certificate", "estimate"
"""Kinds of a report."""

EPOCH = "SOURCE_DATE_EPOCH"
"""Seconds since 1970, as in https://reproducible-builds.org: the date of a certificate."""


def certify(
    predictions: Path,
    truth: Path,
    split: str | None = None,
    options: CertifyOptions | None = None,
    *,
    labels: LabelOptions = AS_HAM10000,
    leaks: LeakOptions = DEFAULTS,
) -> dict[str, Any]:
    """Find the largest threshold that keeps the promise; nothing is written.

    Returns
    -------
    JSON-able: ``kind``, ``certificate`` or ``estimate``; ``why_estimate``, what keeps an estimate
    from being a certificate, None if nothing does; ``predictions`` and ``truth``, by name and hash;
    ``counts``; ``leak_check`` and ``origin``, None of most estimates; ``promise`` and ``found`` of
    :class:`~hambatch.engines.certificates.Certificate`; ``certificate``, whole, None of an
    estimate; ``engine``, the folder that it is of.

    Raises InputError if a table cannot be used, there are too few lesions, no threshold above 0
    keeps the promise, or, but for an estimate, training, calibration or a choice saw the images.
    """
    options = options or CertifyOptions()
    wanted = read_truth(truth, split, labels)
    joined = join_scored(wanted, read_predictions(predictions), predictions)
    about, why = None, None
    try:
        about = eligible(joined, predictions, truth, split, leaks, labels)
    except InputError as error:
        if not options.estimate:
            raise
        why = str(error).partition("\nNext: ")[0]
    lesions = lesions_of(joined, options.target)
    lacking = not_scored(wanted, joined, options.target)
    promise = _promise(predictions, lesions, lacking, options)
    found = figures_at(
        round(promise.threshold * UNIT), lesions, options.confidence, not_scored=lacking
    )
    certificate = None
    if about is not None and not options.estimate:
        images = _certified_on(about, wanted, joined, predictions, split)
        certificate = asdict(_certificate(promise, found, images, about))
    return {
        "hambatch": __version__,
        "kind": ESTIMATE if options.estimate else CERTIFICATE,
        "why_estimate": why,
        "predictions": {**_named(predictions), "engine": engine_of(predictions)},
        "truth": {**_named(truth), "split": split, **wanted.columns, "map": wanted.map},
        "counts": joined.counts | wanted.left_out,
        "leak_check": about and about.leak_check,
        "origin": about and about.images,
        "promise": asdict(promise),
        "found": asdict(found),
        "certificate": certificate,
        "engine": str(about.engine.folder) if about else None,
    }


def _named(path: Path) -> dict[str, str]:
    return {"file": path.name, "sha256": sha256_of_file(path)}


def _promise(predictions: Path, lesions: Lesions, lacking: int, options: CertifyOptions) -> Promise:
    """Choose the threshold; raises InputError if there is none above 0."""
    wanted = options.sensitivity, options.confidence
    scores = lesions.lowest[lesions.positive]
    threshold = certified_threshold(scores, *wanted) if scores.size else None
    if threshold is None:
        raise InputError(_too_few(predictions, scores.size, lacking, options))
    if threshold == 0:
        low, allowed = int((scores < STEP).sum()), most_missed(scores.size, *wanted)
        raise InputError(
            f"{predictions}: {low} of {scores.size} {options.target} lesions have an image with a "
            f"score below {STEP / UNIT:g}, the lowest threshold, and {allowed} may be missed; "
            "threshold 0 refers every image, which needs no certificate.\n"
            "Next: promise a lower --sensitivity or --confidence on other lesions than these, or "
            "train a better engine"
        )
    return Promise(options.target, *wanted, threshold / UNIT, STEP / UNIT)


def _too_few(predictions: Path, found: int, lacking: int, options: CertifyOptions) -> str:
    wanted = options.sensitivity, options.confidence
    said = f"a sensitivity of {wanted[0]:g} at a confidence of {wanted[1]:g}"
    none, one, two = (needed_lesions(missed, *wanted) for missed in range(3))
    more = f" ({lacking} more have no scored image)" if lacking else ""
    return (
        f"{predictions}: found {found} {options.target} lesions with a score{more}; wanted at "
        f"least {none}: {said} needs {none} if none is missed, {one} if one is, {two} if two are. "
        f"{none - found} are missing.\n"
        f"Next: label {none - found} more {options.target} lesions, better {two - found}, or "
        "promise a lower --sensitivity or --confidence"
    )


def _certified_on(
    about: Eligible, wanted: Truth, joined: Joined, predictions: Path, split: str | None
) -> CertifiedOn:
    images = joined.images
    known = images[LESION] != "" if LESION in images.columns else images["truth_id"] == ""
    left_out = wanted.left_out
    return CertifiedOn(
        origin=about.origin,
        predictions_sha256=sha256_of_file(predictions),
        truth_sha256=sha256_of_file(wanted.path),
        part=split or "",
        failed=joined.counts["failed"],
        missing=joined.counts["missing"],
        other_classes=sum(left_out.get("other_classes", {}).values()),
        unlabelled=left_out.get("unlabelled", 0),
        without_lesion_id=int((~known).sum()),
        map={label: meant["class"] for label, meant in wanted.map.items()},
    )


def _certificate(
    promise: Promise, found: Found, images: CertifiedOn, about: Eligible
) -> Certificate:
    """Put a certificate together, and check it as one that is read from an engine."""
    values = Certificate(
        promise,
        found,
        images,
        about.scored,
        about.engine_json_sha256,
        METHOD,
        __version__,
        date_of(os.environ),
    )
    return convert(values.to_json(), Certificate)


def date_of(environment: Mapping[str, str]) -> str:
    """Give the time as ISO 8601, UTC, whole seconds: now, or as ``SOURCE_DATE_EPOCH`` says.

    Raises InputError if that is no number of seconds.
    """
    said = environment.get(EPOCH)
    try:
        now = datetime.now(UTC) if said is None else datetime.fromtimestamp(int(said), UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise InputError(
            f"{EPOCH} is {said!r}, wanted seconds since 1970.\nNext: unset {EPOCH}"
        ) from error
    return now.isoformat(timespec="seconds")


def seal(report: Mapping[str, Any], *, overwrite: bool = False) -> str:
    """Write the certificate of a report into its engine and card; tables stay the engine's own.

    ``overwrite``: in place of one of the same target and precision. Returns what was done.

    Raises InputError if there is such a one, or nothing can be written; EngineError if the engine
    was changed meanwhile.
    """
    folder, certificate = Path(report["engine"]), convert(report["certificate"], Certificate)
    restore_card(folder)
    engine = load_engine(folder)
    others = [one for one in engine.manifest.certificates if one.key != certificate.key]
    is_new = len(others) == len(engine.manifest.certificates)
    if not is_new and not overwrite:
        raise _taken(engine.manifest, certificate)
    kept = sorted([*others, certificate], key=lambda one: one.key)
    write_additions(engine, certificates=tuple(kept))
    did = "added" if is_new else "replaced"
    target, precision = certificate.key
    return f"{engine.manifest.name}: {did} the certificate for {target}, {precision}, in {folder}"


def _taken(manifest: Manifest, certificate: Certificate) -> InputError:
    target, precision = certificate.key
    (old,) = (one for one in manifest.certificates if one.key == certificate.key)
    return InputError(
        f"{manifest.name} has a certificate for {target}, {precision}: threshold "
        f"{old.promise.threshold:.4f}, of {old.date}; wanted none: the one that is kept must "
        "not be chosen by its figures.\nNext: add --overwrite to replace it"
    )
