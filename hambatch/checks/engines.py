"""`hambatch engines list` and `verify`."""

from pathlib import Path

from hambatch.backends import load_backend
from hambatch.engines.backend_names import AUTO, BACKEND_OF_GATES
from hambatch.engines.card_sections import why_void
from hambatch.engines.loading import Engine, engines_folder, installed_engines, load_engine
from hambatch.engines.manifest import read_manifest
from hambatch.engines.precision import cheaper_here, choose_precision, tuned_here
from hambatch.scoring.sentinels.recording import score_sentinels


def engine_lines() -> list[str]:
    """One line an installed engine, or one that says where none was found."""
    lines = []
    for folder in installed_engines():
        manifest = read_manifest(folder)
        precisions = ",".join(variant.precision for variant in manifest.variants)
        fitted = manifest.calibration
        calibrated = f"temperature {fitted.temperature:.4g}  " if fitted else ""
        tuning = tuned_here(manifest).tuning
        tuned = f"tuned {tuning.date}  " if tuning else ""
        held = [one for one in manifest.certificates if not why_void(one, manifest)]
        certified = "".join(f"certified {one.promise.target} {one.precision}  " for one in held)
        facts = f"{manifest.name}  {manifest.version}  {precisions}"
        lines.append(f"{facts}  {calibrated}{tuned}{certified}{folder}")
    return lines or [f"no engine in {engines_folder()}; next: hambatch train"]


def verify_engine(folder: Path) -> str:
    """Verify hashes, load every graph, score the sentinels; a line says what was proven.

    Each graph in every precision that this processor computes.

    Raises EngineError at the first fault, SentinelError if a sentinel has wrong scores here.
    """
    engine = load_engine(folder)
    stored = [variant.precision for variant in engine.manifest.variants]
    precisions = dict.fromkeys([*stored, *cheaper_here(engine.manifest)])
    for precision in precisions:
        load_backend(BACKEND_OF_GATES, engine, precision, streams=1).close()
    present = [name for name in engine.manifest.files if (folder / name).is_file()]
    graphs = ", ".join(variant.file for variant in engine.manifest.variants)
    sentinels = "; ".join(_sentinels(engine, precision) for precision in precisions)
    choice = choose_precision(engine.manifest, BACKEND_OF_GATES, AUTO)
    return (
        f"{engine.manifest.name}: {len(present)} files match their sha256; "
        f"graphs load: {graphs}; {sentinels}; "
        f"--precision auto runs {choice.used} here ({choice.why})"
    )


def _sentinels(engine: Engine, precision: str) -> str:
    recorded = engine.manifest.sentinels.of(precision)
    found = score_sentinels(engine, precision)
    if not (recorded and recorded.pictures):
        return f"{precision}: no scores are recorded to check the sentinels with"
    return (
        f"{precision}: {len(recorded.pictures)} sentinels are within "
        f"{found['deviation_at_start']:.0e} of what {recorded.measured_on.backend} gave on "
        f"{recorded.measured_on.instruction_set} "
        f"(tolerance {found['tolerance_at_start']:.0e})"
    )
