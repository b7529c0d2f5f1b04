"""Which graph of an engine a run uses, and why: INT8 where it is known to cost little."""

from dataclasses import dataclass

from hambatch.engines.manifest import Manifest
from hambatch.engines.measurements import GATE, Gate
from hambatch.errors import EngineError
from hambatch.system.cpu import int8_kernels
from hambatch.system.packages import library_versions

AUTO, FP32, FP16, INT8 = "auto", "fp32", "fp16", "int8"

WANTED = (AUTO, FP32, FP16, INT8)

USED = (FP32, FP16, INT8)

BACKEND_OF_GATES = "openvino"
"""The one whose gates are measured; no gate was measured on a GPU yet."""

BACKEND_OF_GPU = "tensorrt"

OF_BACKEND = {BACKEND_OF_GATES: (FP32, INT8), BACKEND_OF_GPU: USED, "keras": (FP32,)}
"""What each runs; FP16 is what a GPU makes of the FP32 graph."""

PASSED, FAILED = "passed", "failed"
NOT_MEASURED, NOT_NEEDED = "not measured here", "not needed"
"""States of a gate, as the run record has them."""


@dataclass(frozen=True)
class Choice:
    """The precision that was ``wanted``, the one that is ``used``, and whether by ``--force``.

    The run record holds these fields.
    """

    wanted: str
    used: str
    why: str
    gate: str = NOT_NEEDED
    forced: bool = False


def choose_precision(
    manifest: Manifest, backend: str, wanted: str, *, force: bool = False
) -> Choice:
    """Choose one of :data:`WANTED`: INT8 by itself only where its gate was measured and passed.

    ``force`` takes ``int8`` although its gate failed, or was not measured here. Raises
    EngineError if a precision is wanted that cannot be had, or should not be.
    """
    offered = OF_BACKEND[backend]
    if wanted not in (AUTO, *offered):
        where = "--device gpu where there is one" if wanted == FP16 else "--backend openvino"
        raise EngineError(
            f"the {backend} backend runs {' and '.join(offered)} only, wanted "
            f"{wanted}.\nNext: --precision fp32, or {where}"
        )
    if wanted in (FP32, FP16):
        return Choice(wanted, wanted, f"--precision {wanted}")
    if wanted == AUTO and backend != BACKEND_OF_GATES:
        only = f"the {backend} backend runs fp32 only"
        return Choice(wanted, FP32, only if len(offered) == 1 else "the most exact")
    if wanted == AUTO and all(variant.precision != INT8 for variant in manifest.variants):
        return Choice(wanted, FP32, "the engine has no int8 graph")
    gate = _gate_here(manifest, backend)
    state = NOT_MEASURED if gate is None else PASSED if gate.passed else FAILED
    why = _result(manifest, gate, backend)
    if wanted == AUTO:
        return Choice(wanted, INT8 if state == PASSED else FP32, why, state)
    if state != PASSED and not force:
        raise _refused(manifest, backend, why)
    return Choice(wanted, INT8, why, state, forced=state != PASSED)


def _gate_here(manifest: Manifest, backend: str) -> Gate | None:
    """Find what was measured of the present graphs on this instruction set."""
    fp32, int8 = (manifest.files[manifest.variant(p).file].sha256 for p in (FP32, INT8))
    here = (backend, int8_kernels(), fp32, int8)
    for gate in manifest.variant(INT8).gates:
        if (gate.backend, gate.instruction_set, gate.fp32_sha256, gate.int8_sha256) == here:
            return gate
    return None


def graph_precision(precision: str) -> str:
    """Name the precision of the graph that is run: FP16 is made from the FP32 graph."""
    return FP32 if precision == FP16 else precision


def cpu_precision(precision: str) -> str:
    """Name the precision in which the CPU continues a GPU's run: it has no FP16."""
    return INT8 if precision == INT8 else FP32


TRAINED_ON, OF_ANOTHER = "training images", "images of another split table"


def images_of_gate(manifest: Manifest, gate: Gate) -> str:
    """Name the images that a gate was measured on, by what they are to the engine.

    Of training images fewer labels change than of others; what those of another split table are
    is not known.
    """
    if manifest.data.get("split_sha256", gate.split_sha256) != gate.split_sha256:
        return OF_ANOTHER
    if gate.part in manifest.trained_on:
        return TRAINED_ON
    return "gate images" if gate.part == GATE else "validation images"


def _result(manifest: Manifest, gate: Gate | None, backend: str) -> str:
    if gate is None:
        where = "this instruction set" if backend == BACKEND_OF_GATES else "a GPU"
        return f"int8 gate not measured on {where}"
    then, now = gate.versions.get(BACKEND_OF_GATES), library_versions().get(BACKEND_OF_GATES)
    otherwise = f", measured with {BACKEND_OF_GATES} {then}" if then != now else ""
    images = images_of_gate(manifest, gate)
    known = f" ({images})" if images in (TRAINED_ON, OF_ANOTHER) else ""
    flips = f"{100 * gate.label_flip_share:.1f} % of labels change{known}{otherwise}"
    if gate.passed:
        return f"gate passed: {flips}"
    return (
        f"int8 gate failed: {flips}, balanced accuracy {gate.balanced_accuracy.change:+.2f} "
        f"points, melanoma sensitivity {gate.melanoma_sensitivity.change:+.2f} points"
    )


def _refused(manifest: Manifest, backend: str, why: str) -> EngineError:
    if backend != BACKEND_OF_GATES:
        return EngineError(
            f"the int8 graph of {manifest.name} is not to be used by {backend}: {why}.\n"
            "Next: --precision fp16 or fp32, --device cpu if its gate passed there, or --force"
        )
    return EngineError(
        f"the int8 graph of {manifest.name} is not to be used: {why}; "
        f"wanted a gate that passed on {int8_kernels()}.\n"
        f"Next: hambatch engines verify --gate --data split.csv {manifest.name}, "
        "or --precision fp32, or --force"
    )
