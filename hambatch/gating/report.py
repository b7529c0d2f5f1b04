"""A gate in words."""

from hambatch.engines.gate_spec import Change, Gate
from hambatch.engines.manifest import Manifest
from hambatch.evaluation.training_split import TRAIN
from hambatch.gating.measuring import SIDE

LINE = "{:<22}{:>8}{:>8}{:>10}   {:<18}{}"


def gate_lines(manifest: Manifest, gate: Gate) -> list[str]:
    """Say what was measured, against which limits, and whether it passed."""
    limits = gate.limits
    flips = LINE.format(
        "label flips",
        "",
        "",
        f"{gate.label_flips}",
        f"{100 * gate.label_flip_share:.2f} %",
        f"at most {100 * limits.label_flip_share:g} %",
    )
    balanced = _figure("balanced accuracy", gate.balanced_accuracy, limits.balanced_accuracy_loss)
    melanoma = _figure(
        "melanoma sensitivity", gate.melanoma_sensitivity, limits.melanoma_sensitivity_loss
    )
    return [
        f"{manifest.name} {manifest.version}: int8 against fp32, {gate.backend}, "
        f"{gate.instruction_set}",
        f"{gate.images} validation images of {gate.lesions} lesions "
        f"(split {gate.split_sha256[:12]}{_note(manifest, gate)})",
        LINE.format("", "fp32", "int8", "change", "95 % interval", "limit").rstrip(),
        flips,
        balanced,
        melanoma,
        "the gate is passed" if gate.passed else "the gate is FAILED",
    ]


def _note(manifest: Manifest, gate: Gate) -> str:
    if manifest.data.get("split_sha256", gate.split_sha256) != gate.split_sha256:
        return "; not the split that the engine was trained with: see what is held out"
    if SIDE in manifest.data.get("trained_on", TRAIN):
        return "; the engine was trained on them: of others somewhat more labels may flip"
    return ""


def _figure(name: str, change: Change, loss: float) -> str:
    low, high = change.interval
    return LINE.format(
        name,
        f"{change.fp32:.4f}",
        f"{change.int8:.4f}",
        f"{change.change:+.2f}",
        f"{low:+.2f} to {high:+.2f}",
        f"{-loss:+g} points",
    )
