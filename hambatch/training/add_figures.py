"""`hambatch engines add-figures`: how an engine does on other images, for its card."""

import shlex
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from msgspec import Meta

from hambatch.engines.additions import write_additions
from hambatch.engines.card_sections import with_sections
from hambatch.engines.loading import load_engine, replacing_card, restore_card, write_manifest
from hambatch.engines.manifest import CARD, MANIFEST_NAME, Manifest, read_manifest
from hambatch.engines.measurements import (
    EXTERNAL,
    FIGURE_NAMES,
    HELD_OUT,
    INTERNAL,
    LEFT_OUT,
    Count,
    Digest,
    Estimate,
    FigureName,
    FiguresOn,
    Kind,
    Scored,
    Share,
    Temperature,
    Text,
)
from hambatch.engines.probabilities import temperature_of
from hambatch.errors import InputError
from hambatch.system.schema import convert, read_json_file
from hambatch.system.text import excerpt

EVALUATE = "hambatch evaluate PREDS --truth LABELS --out FOLDER, and give FOLDER/evaluation.json"


@dataclass(frozen=True)
class _ScoredBy:
    name: Text
    backend: Text
    precision: Text
    graph_sha256: Digest | None = None
    views: Count = 1
    temperature: Temperature | None = None


@dataclass(frozen=True)
class _Predictions:
    sha256: Digest
    engine: _ScoredBy | None


@dataclass(frozen=True)
class _Truth:
    sha256: Digest
    split: str | None = None


@dataclass(frozen=True)
class _LeakCheck:
    done: bool
    needed: bool = True
    no_engine: bool = False
    why: str = ""
    validation_images: Annotated[int, Meta(ge=0)] = 0


@dataclass(frozen=True)
class _Origin:
    kind: Text
    why: str | None = None


@dataclass(frozen=True)
class _Counts:
    failed: Annotated[int, Meta(ge=0)]
    missing: Annotated[int, Meta(ge=0)]


@dataclass(frozen=True)
class _OfClass:
    support: Annotated[int, Meta(ge=0)]


@dataclass(frozen=True)
class _Intervals:
    grouped_by: str
    groups: Count
    balanced_accuracy: tuple[Share, Share] | None = None
    roc_auc_melanoma: tuple[Share, Share] | None = None
    roc_auc_malignant: tuple[Share, Share] | None = None
    ece: tuple[Share, Share] | None = None


@dataclass(frozen=True)
class Evaluation:
    """The parts of an ``evaluation.json`` that an engine keeps; see ``hambatch evaluate``."""

    hambatch: Text
    predictions: _Predictions
    truth: _Truth
    counts: _Counts
    leak_check: _LeakCheck
    origin: _Origin
    n: Count
    classes: dict[str, _OfClass]
    intervals: _Intervals
    balanced_accuracy: Share | None = None
    roc_auc_melanoma: Share | None = None
    roc_auc_malignant: Share | None = None
    ece: Share | None = None

    def figures(self) -> dict[FigureName, Estimate]:
        """Give the figures that are defined."""
        found = {name: getattr(self, name) for name in FIGURE_NAMES}
        return {
            name: Estimate(value, getattr(self.intervals, name))
            for name, value in found.items()
            if value is not None
        }


class About(NamedTuple):
    """What the user says of the images of an evaluation."""

    kind: Kind
    name: str


def add_figures(
    folder: Path, evaluation: Path, about: About, report: Callable[[str], None]
) -> None:
    """Write the figures into ``engine.json`` and ``card.md``; those of the same name are replaced.

    Tables, records and journals of the engine stay its own. A kill between card and
    ``engine.json`` leaves an engine that loading refuses; the next call repairs it.

    Raises EngineError if the engine is damaged; InputError if the file is no evaluation, or one of
    images that were trained on, or by another engine, or its images are not of this kind, or
    nothing can be written.
    """
    restore_card(folder)
    engine, found = load_engine(folder), read_evaluation(evaluation)
    _refuse_leaks(evaluation, found, about.kind)
    _refuse_other_engine(evaluation, found, engine.manifest, about.kind)
    _refuse_other_kind(evaluation, found, engine.manifest, about.kind)
    figures = _entry(evaluation, found, about)
    known = engine.manifest.other_images
    others = known.figures if known else ()
    is_new = all(one.name != figures.name for one in others)
    kept = [figures if one.name == figures.name else one for one in others]
    write_additions(engine, figures=(*kept, figures) if is_new else tuple(kept))
    shown = ", ".join(f"{name} {one.value:.3f}" for name, one in figures.figures.items())
    did = "added" if is_new else "replaced"
    report(f"{engine.manifest.name}: {did} {about.kind} figures {about.name!r}: {shown}")


def remove_figures(folder: Path, name: str, report: Callable[[str], None]) -> None:
    """Take figures out again; raises EngineError as :func:`add_figures`, InputError without any."""
    restore_card(folder)
    engine = load_engine(folder)
    known = engine.manifest.other_images
    figures = known.figures if known else ()
    kept = tuple(one for one in figures if one.name != name)
    if len(kept) == len(figures):
        names = ", ".join(repr(one.name) for one in figures) or "none"
        raise InputError(
            f"{engine.manifest.name} has no figures {name!r}; it has: {names}.\n"
            f"Next: hambatch engines show {shlex.quote(str(folder))}"
        )
    write_additions(engine, figures=kept)
    report(f"{engine.manifest.name}: removed figures {name!r}")


def read_evaluation(path: Path) -> Evaluation:
    """Read what ``hambatch evaluate`` wrote; InputError if it is anything else, or older."""
    try:
        return read_json_file(path, Evaluation)
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else f"{error}"
        raise InputError(
            f"{path} cannot be used as an evaluation: {what}; wanted the JSON of hambatch evaluate "
            f"of this version.\nNext: {EVALUATE}"
        ) from error


def _entry(path: Path, found: Evaluation, about: About) -> FiguresOn:
    try:
        return convert(_values(found, about), FiguresOn)
    except ValueError as error:
        raise InputError(
            f"{path} cannot be used: {error}.\nNext: give --name 1 to 100 characters on one line, "
            "without |, and the JSON as hambatch evaluate wrote it"
        ) from error


def _values(found: Evaluation, about: About) -> dict[str, Any]:
    """Collect the fields of a :class:`FiguresOn`; ValueError if a figure contradicts itself."""
    used, by_lesion = found.predictions.engine, found.intervals.grouped_by == "lesion"
    scored = used and Scored(
        used.backend, used.precision, used.views, used.temperature, used.graph_sha256
    )
    return {
        "kind": about.kind,
        "name": about.name,
        "images": found.n,
        "classes": {name: one.support for name, one in found.classes.items() if one.support},
        "figures": {name: asdict(one) for name, one in found.figures().items()},
        "predictions_sha256": found.predictions.sha256,
        "truth_sha256": found.truth.sha256,
        "hambatch": found.hambatch,
        "lesions": found.intervals.groups if by_lesion else None,
        "not_scored": found.counts.failed + found.counts.missing,
        "part": found.truth.split or "",
        "scored": asdict(scored) if scored else None,
    }


def _refuse_leaks(path: Path, found: Evaluation, kind: Kind) -> None:
    """Refuse images that were trained on or chosen by, or of which it is not known.

    Of networks that are no engine it is never known; the card says so. The user has to have said
    that they are none: predictions without a record may be this engine's own.
    """
    check = found.leak_check
    by_networks = kind == LEFT_OUT and found.predictions.engine is None and check.no_engine
    if not check.done and check.needed and not by_networks:
        why = excerpt(check.why, 1000)
        raise InputError(
            f"{path} has no leak check ({why}); wanted figures of images that are known not "
            "to be trained on.\nNext: do that, and run hambatch evaluate again"
        )
    if check.validation_images:
        raise InputError(
            f"{path} is of {found.n} images, {check.validation_images} of which chose the weights "
            "of the engine (split val); wanted images that played no part in its training.\n"
            "Next: hambatch evaluate PREDS --truth split.csv --split test --out FOLDER"
        )


CONTRADICTING = {
    HELD_OUT: ("internal", "mixed"),
    LEFT_OUT: ("internal", "held-out", "mixed"),
    EXTERNAL: ("internal", "held-out", "mixed", "unknown"),
}
"""Origins of images, as :mod:`hambatch.evaluation.origin` finds them, that are no such images.

Whoever knows that images come from a clinic of the training may say ``held-out`` of external ones.
"""


def _refuse_other_kind(path: Path, found: Evaluation, manifest: Manifest, kind: Kind) -> None:
    """Refuse a kind that the tables, or what the training knew of the images, contradict."""
    split, truth, origin = manifest.data.get("split_sha256"), found.truth.sha256, found.origin
    if kind == INTERNAL and truth != split:
        raise InputError(
            f"{path} has a truth of sha256 {truth}; wanted {split}, the split table that "
            f"{manifest.name} was trained with.\n"
            "Next: hambatch evaluate PREDS --truth split.csv --split test, or another --kind"
        )
    if kind == HELD_OUT and not manifest.data.get("extra"):
        raise InputError(
            f"{manifest.name} was trained on no other source than its split table; wanted one that "
            f"lists others in data.extra of {MANIFEST_NAME}.\nNext: add --kind {EXTERNAL}"
        )
    if origin.kind in CONTRADICTING.get(kind, ()):
        why = f" ({excerpt(origin.why, 1000)})" if origin.why else ""
        raise InputError(
            f"{path} is of images whose origin is {excerpt(origin.kind)}{why}, as seen from the "
            f"training of the engine that scored them; wanted {kind} ones.\n"
            "Next: give the --kind that they are, or evaluate each source by itself"
        )


def _refuse_other_engine(path: Path, found: Evaluation, manifest: Manifest, kind: Kind) -> None:
    """Refuse predictions of other weights or another temperature; of these, for a left-out source.

    Raises InputError.
    """
    used = found.predictions.engine
    is_own = used is not None and used.graph_sha256 in manifest.graphs
    if kind == LEFT_OUT:
        if is_own:
            raise InputError(
                f"{path} is of predictions by {manifest.name} itself; wanted those of another "
                f"training of its recipe, without that source.\nNext: add --kind {HELD_OUT} or "
                f"--kind {EXTERNAL}"
            )
        return
    following = "hambatch score IMAGES --engine ENGINE --out PREDS, then " + EVALUATE
    if used is None:
        raise InputError(
            f"{path} is of predictions without a record, so it is not known which engine made "
            f"them; wanted those of {manifest.name}.\nNext: {following}"
        )
    if not is_own:
        graphs = " or ".join(sorted(manifest.graphs))
        raise InputError(
            f"{path} is of predictions by {excerpt(used.name)}, graph {used.graph_sha256}; wanted "
            f"a graph of {manifest.name}, {graphs}.\nNext: {following}"
        )
    if used.temperature != temperature_of(manifest):
        raise InputError(
            f"{path} is of predictions with temperature {used.temperature}; wanted "
            f"{temperature_of(manifest)}, the one that {manifest.name} scores with.\n"
            f"Next: {following}"
        )


def renew_card(folder: Path) -> Manifest:
    """Let the card say which figures are of graphs that were replaced; gives the manifest."""
    manifest, card = read_manifest(folder), folder / CARD
    if manifest.other_images is None or not card.is_file():
        return manifest
    before = card.read_text(encoding="utf-8")
    after = with_sections(before, manifest)
    if after != before:
        with replacing_card(folder, after):
            manifest = write_manifest(folder, manifest)
    return manifest
