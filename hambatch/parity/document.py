"""What was measured, as one JSON object: docs/parity.md names its fields."""

from dataclasses import asdict
from typing import Any

from hambatch import __version__
from hambatch.bench.machine import machine_facts
from hambatch.parity.results import Parity, PathResult
from hambatch.run_record import utc_now
from hambatch.versions import library_versions

FORMAT = 1
KIND = "hambatch parity"


def as_document(found: Parity) -> dict[str, Any]:
    """Lay it out, with the machine and the versions that it holds for."""
    manifest, images = found.engine.manifest, found.images
    return {
        "format": FORMAT,
        "kind": KIND,
        "measured_utc": utc_now(),
        "holds": found.holds,
        "verdict": found.verdict,
        "machine": machine_facts(),
        "versions": library_versions(),
        "hambatch": __version__,
        "engine": {
            "name": manifest.name,
            "version": manifest.version,
            "engine_json_sha256": found.engine.manifest_sha256,
        },
        "options": asdict(found.options),
        "source": {
            "listed": found.taken.listed,
            "taken": len(found.taken.names),
            "compared": len(images.rows),
            "left_out": images.left_out.total(),
            "reasons": dict(images.left_out),
        },
        "reference": found.results[0].path.name,
        "paths": [_path(result) for result in found.results],
        "decoder_load": asdict(found.load) if found.load else None,
    }


def _path(result: PathResult) -> dict[str, Any]:
    path = result.path
    return {
        "name": path.name,
        "device": path.device,
        "verdict": result.verdict,
        "why_not": path.why_not or result.problem,
        "next": path.next,
        "decoders": dict(result.decoders),
        "backends": dict(result.backends),
        "compared": asdict(result.compared) if result.compared else None,
        "tolerance": asdict(result.tolerance) if result.tolerance else None,
        "steady": result.steady,
        "varied": [asdict(varied) for varied in result.varied],
    }
