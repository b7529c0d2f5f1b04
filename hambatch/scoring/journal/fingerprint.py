"""What a run's rows depend on: a journal begun with anything else cannot be resumed."""

from collections.abc import Mapping
from typing import Any

from hambatch.engines.backend_names import LIBRARIES, graph_precision
from hambatch.engines.loading import Engine
from hambatch.engines.probabilities import as_wanted, temperature_of
from hambatch.errors import InputError
from hambatch.pipelines.options import RULES
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import ON_GPU, RunPlan
from hambatch.sinks.publish import carried_by
from hambatch.sources.listing import Listing
from hambatch.sources.options import MAX_RATIO
from hambatch.sources.source import Sources
from hambatch.system.packages import library_versions

_CHANGED = {
    1: "colour profiles are applied, pictures that hold nothing or lack a part fail",
    2: "DICOM, WebP, TIFF and other formats are decoded",
    3: "images are checked for quality and for being unlike the training images",
}
"""What rules of decoding lack."""

LISTING = "listing"
"""The part that names the images and where they are."""

LIMITS = "limits"
"""The part that decides which files fail: with higher ones, every scored row stays as it is."""

HIGHER_IS_LOOSER = (
    *("max_megabytes", "max_megapixels", "max_aspect", "decode_seconds"),
    "max_ratio",
)
LOWER_IS_LOOSER = ("min_side",)

CALIBRATION = "calibration"
"""The part with the temperature; absent where none is applied, as in old journals."""

CHECKED_SINCE = 4
"""The rules of decoding that came with the columns about quality and risk."""

PIPELINE = "pipeline"
"""The part with the version of the pipeline's rules; absent in journals and records of before."""

Fingerprint = dict[str, dict[str, Any]]


def fingerprint_of(
    sources: Sources, listing: Listing, engine: Engine, plan: RunPlan
) -> Fingerprint:
    """Collect everything that decides a row: JSON values, in named parts."""
    options, manifest, versions = plan.used, engine.manifest, library_versions()
    graph = manifest.files[manifest.variant(graph_precision(options.precision)).file].sha256
    temperature = temperature_of(as_wanted(manifest, options.calibration))
    # Old journals know nothing of views and temperatures: one view and none are not written.
    views = {"tta": options.tta} if options.tta > 1 else {}
    calibration = {} if temperature is None else {CALIBRATION: {"temperature": temperature}}
    ratio = {} if options.max_ratio == MAX_RATIO else {"max_ratio": options.max_ratio}
    return {
        LISTING: {
            "source": sources.recorded,
            "images": listing.count,
            "sha256": listing.sha256,
            "follow_symlinks": options.follow_symlinks,
            **_of_sources(sources, listing),
        },
        "engine": {
            "name": manifest.name,
            "engine_json_sha256": engine.manifest_sha256,
            "graph_sha256": graph,
        },
        "backend": {"name": options.backend, "precision": options.precision} | views,
        "device": computing_device(engine, plan),
        PIPELINE: {"rules": RULES},
        "versions": {k: versions[k] for k in LIBRARIES[options.backend] if k in versions},
        LIMITS: {
            "max_megabytes": options.max_megabytes,
            "max_megapixels": options.max_megapixels,
            "min_side": options.min_side,
            "max_aspect": options.max_aspect,
            "decode_seconds": options.decode_seconds,
            "salvage_truncated": options.salvage_truncated,
            **ratio,
        },
        **calibration,
    }


def _of_sources(sources: Sources, listing: Listing) -> dict[str, Any]:
    """Give what only some listings have; those of one folder are as they always were."""
    found: dict[str, Any] = {"archives": True} if sources.archives else {}
    if sources.keep_ids:
        found["keep_ids"] = True
    if listing.names_sha256 != listing.sha256:
        found["names_sha256"] = listing.names_sha256
    return found | carried_by(listing.columns)


def computing_device(engine: Engine, plan: RunPlan) -> dict[str, Any]:
    """Name the processor; on a GPU the card, its driver, and the very TensorRT plan.

    Two plans built of one graph may differ in the last bits of their scores. How many GPUs of
    that model there are changes no row, nor does the size of batches, unless the decoder parts
    them. Raises BackendError if no plan is kept for the GPU.
    """
    processor = {"kind": "cpu", "instruction_set": plan.instruction_set}
    if plan.used.backend != ON_GPU:
        return processor
    from hambatch.backends.tensorrt.plans.build import kept_plan_for
    from hambatch.backends.tensorrt.requests import REQUEST_SIZE

    gpus, options = plan.placement.gpus, plan.used
    kept = kept_plan_for(engine, options.precision, REQUEST_SIZE, gpus[0].ordinal).record
    batches = {"batch_size": options.batch_size, "gpus": len(gpus)}
    return {
        **processor,
        "kind": "gpu",
        "gpu": kept.key.gpu,
        "driver": kept.key.driver,
        "plan_sha256": kept.sha256,
        "hw_decoder_load": options.decoder.hw_decoder_load,
        "jpeg_fancy_upsampling": options.decoder.jpeg_fancy_upsampling,
        **(batches if options.decoder.splits_batches else {}),
    }


def refuse_other(found: Fingerprint, wanted: Fingerprint, what: str, next_step: str) -> None:
    """Raise InputError if a stored fingerprint differs from the command's; it names each part."""
    if was := other_rules(found):
        raise InputError(
            f"{what}: {was}; a table of both would mix them.\n"
            "Next: add --overwrite, without --update or --retry-failed, to score all of it again, "
            "or name another --out"
        )
    if differing := _differing(found, wanted):
        raise InputError(f"{what}: {'; '.join(differing)}.\nNext: {next_step}")


def other_than_listing(found: Fingerprint, wanted: Fingerprint) -> str:
    """Say why rows of other images cannot be kept beside new ones; empty if they can."""
    parts = [{part: of[part] for part in of if part != LISTING} for of in (found, wanted)]
    return other_rules(found) or "; ".join(_differing(*parts))


def _differing(found: Fingerprint, wanted: Fingerprint) -> list[str]:
    return [
        f"{part} {key} was {_shown(found, part, key)}, is {_shown(wanted, part, key)}"
        for part in sorted(found.keys() | wanted.keys())
        for key in sorted({**found.get(part, {}), **wanted.get(part, {})})
        if _shown(found, part, key) != _shown(wanted, part, key)
    ]


def other_rules(found: Fingerprint) -> str:
    """Say in words that rows were made by older rules of decoding; empty: by these."""
    rules = rules_of_decoding(found)
    if rules == RULES:
        return ""
    changed = f": {_CHANGED[rules]}" if rules in _CHANGED else ""
    return (
        f"its rows were made by the rules {rules or 'unknown'} of decoding, and this hambatch has "
        f"the rules {RULES}{changed}"
    )


def rules_of_decoding(found: Mapping[str, Any]) -> int:
    """Read by which rules files became rows; 0 if a fingerprint says nothing that can be."""
    rules = found.get(PIPELINE, {}).get("rules", 1)
    return rules if type(rules) is int and rules > 0 else 0


def has_checks(record: Mapping[str, Any]) -> bool:
    """Tell whether the table of a run has the columns about quality and risk."""
    return rules_of_decoding(record["fingerprint"]) >= CHECKED_SINCE


def without_limits(fingerprint: Fingerprint) -> Fingerprint:
    """Leave out what a retry may change."""
    return {part: values for part, values in fingerprint.items() if part != LIMITS}


def refuse_stricter(before: ScoreOptions, now: ScoreOptions, what: str) -> None:
    """Raise InputError if a row that was scored before would fail now; it names each limit."""
    differing, wanted = [], []
    for name in (*HIGHER_IS_LOOSER, *LOWER_IS_LOOSER):
        old, new = getattr(before, name), getattr(now, name)
        is_lower = name in HIGHER_IS_LOOSER
        if (new < old) if is_lower else (new > old):
            differing.append(f"{name} was {old:g}, is {new:g}")
            wanted.append(f"{_option(name)} {old:g} or {'higher' if is_lower else 'lower'}")
    if before.salvage_truncated and not now.salvage_truncated:
        differing.append("salvage_truncated was True, is False")
        wanted.append(_option("salvage_truncated"))
    if differing:
        raise InputError(
            f"{what}: {'; '.join(differing)}.\n"
            f"Next: give {', '.join(wanted)}, or add --overwrite instead of "
            "--retry-failed to score all of it again"
        )


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _shown(fingerprint: Mapping[str, Any], part: str, key: str) -> object:
    return fingerprint.get(part, {}).get(key, "absent")
