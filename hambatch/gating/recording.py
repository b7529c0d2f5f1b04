"""Writing a gate into `engine.json`."""

from dataclasses import replace

from hambatch.atomic import write_json
from hambatch.engines.choice import INT8
from hambatch.engines.gate_spec import Gate
from hambatch.engines.loading import Engine, load_engine
from hambatch.engines.manifest import MANIFEST_NAME, Variant
from hambatch.errors import EngineError


def record_gate(engine: Engine, gate: Gate) -> None:
    """Add it to its graph, in place of what was measured by that backend on that machine before.

    Every file of the folder but ``engine.json`` stays as it is.

    Raises
    ------
    EngineError
        If ``engine.json`` has changed since the engine was loaded.
    InputError
        If the folder cannot be written to.
    """
    if load_engine(engine.folder).manifest_sha256 != engine.manifest_sha256:
        raise EngineError(
            f"{engine.folder / MANIFEST_NAME} changed while the gate was measured.\n"
            "Next: run the same command again"
        )
    variants = tuple(
        _with(variant, gate) if variant.precision == INT8 else variant
        for variant in engine.manifest.variants
    )
    manifest = replace(engine.manifest, variants=variants)
    write_json(engine.folder / MANIFEST_NAME, manifest.to_json())


def _with(variant: Variant, gate: Gate) -> Variant:
    kept = [g for g in variant.gates if _where(g) != _where(gate)]
    return replace(variant, gates=tuple(sorted([*kept, gate], key=_where)))


def _where(gate: Gate) -> tuple[str, str]:
    return gate.backend, gate.instruction_set
