"""The story of `hambatch engines verify --gate`."""

from collections.abc import Callable
from pathlib import Path

from hambatch.engines.loading import load_engine
from hambatch.gating.measuring import measure_gate
from hambatch.gating.recording import record_gate
from hambatch.gating.report import gate_lines
from hambatch.training.dataset import read_dataset


def gate_engine(
    folder: Path, split: Path, tell: Callable[[str], None], *, dry_run: bool = False
) -> bool:
    """Measure, tell, and then write it down, so that no error hides what was measured.

    Returns
    -------
    bool
        Whether the gate is passed.

    Raises
    ------
    EngineError, InputError
        If it cannot be measured or written down.
    """
    engine = load_engine(folder)
    gate = measure_gate(engine, read_dataset(split))
    tell("\n".join(gate_lines(engine.manifest, gate)))
    if not dry_run:
        record_gate(engine, gate)
        tell(f"written to {folder / 'engine.json'}")
    return gate.passed
