"""Which precision of an engine a run uses, and why: the fastest that is known to cost little."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from hambatch.engines.backend_names import (
    AUTO,
    BACKEND_OF_GATES,
    FASTEST_FIRST,
    FP16,
    FP32,
    OF_BACKEND,
    Cheaper,
    graph_precision,
    in_bfloat16,
)
from hambatch.engines.manifest import Manifest
from hambatch.engines.measurements import GATE, Gate
from hambatch.errors import BackendError, EngineError
from hambatch.system.cpu import instruction_set, kernels_of, multiplies_bfloat16
from hambatch.system.packages import library_versions
from hambatch.system.text import in_words

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


class Judged(NamedTuple):
    """A cheaper precision, the state of its gate here, and that in words."""

    precision: str
    state: str
    why: str


def choose_precision(
    manifest: Manifest, backend: str, wanted: str, *, force: bool = False
) -> Choice:
    """Choose one of ``WANTED``: by itself the fastest whose gate was measured here and passed.

    ``force`` takes the wanted one although its gate failed, or was not measured here. Raises
    EngineError if a precision is wanted that cannot be had, or should not be; BackendError if the
    processor does not compute it.
    """
    offered = OF_BACKEND[backend]
    if wanted not in (AUTO, *offered):
        elsewhere = ", or --backend openvino" if backend != BACKEND_OF_GATES else ""
        where = ", or --device gpu where there is one" if wanted == FP16 else elsewhere
        raise EngineError(
            f"the {backend} backend runs {in_words(offered)} only, wanted "
            f"{wanted}.\nNext: --precision fp32{where}"
        )
    if wanted in (FP32, FP16):
        return Choice(wanted, wanted, f"--precision {wanted}")
    if wanted == AUTO and backend != BACKEND_OF_GATES:
        only = f"the {backend} backend runs fp32 only"
        return Choice(wanted, FP32, only if len(offered) == 1 else "the most exact")
    if wanted == AUTO:
        return _fastest(manifest, backend)
    refuse_without_bfloat16(wanted)
    _, state, why = _judged(manifest, backend, wanted)
    if state != PASSED and not force:
        raise _refused(manifest, backend, wanted, why)
    return Choice(wanted, wanted, why, state, forced=state != PASSED)


def cheaper_here(manifest: Manifest) -> tuple[Cheaper, ...]:
    """Name what OpenVINO runs of an engine on this processor beside FP32, the fastest first."""
    graphs = {variant.precision for variant in manifest.variants}
    return tuple(
        precision
        for precision in FASTEST_FIRST
        if graph_precision(precision) in graphs
        and (multiplies_bfloat16() or not in_bfloat16(precision))
    )


def refuse_without_bfloat16(precision: str, instead: str = "") -> None:
    """Raise BackendError if this processor would have to emulate the precision.

    ``instead`` is the precision of the next step; empty: that of the graph.
    """
    if in_bfloat16(precision) and not multiplies_bfloat16():
        raise BackendError(
            f"{precision} is for processors that multiply bfloat16: found {instruction_set()}, "
            "wanted avx512_bf16 or amx_bf16.\n"
            f"Next: --precision {instead or graph_precision(precision)}"
        )


def _fastest(manifest: Manifest, backend: str) -> Choice:
    """Take the first whose gate passed, else FP32; say what became of the faster ones."""
    passed_over: list[Judged] = []
    for precision in cheaper_here(manifest):
        judged = _judged(manifest, backend, precision)
        if judged.state == PASSED:
            why = "; ".join([judged.why, *_reasons(passed_over)])
            return Choice(AUTO, precision, why, PASSED)
        passed_over.append(judged)
    if not passed_over:
        return Choice(AUTO, FP32, "the engine has no int8 graph")
    state = FAILED if any(one.state == FAILED for one in passed_over) else NOT_MEASURED
    return Choice(AUTO, FP32, "; ".join(_reasons(passed_over)), state)


def _reasons(passed_over: Sequence[Judged]) -> list[str]:
    """Say of each why it is not taken; once for neighbours whose gates were not measured."""
    reasons = []
    for state, group in groupby(passed_over, lambda one: one.state):
        ones = list(group)
        if state == NOT_MEASURED and len(ones) > 1:
            names = in_words([one.precision for one in ones])
            reasons.append(f"{names} gates not measured on this instruction set")
        else:
            reasons += [one.why for one in ones]
    return reasons


def _judged(manifest: Manifest, backend: str, precision: str) -> Judged:
    gate = _gate_here(manifest, backend, precision)
    state = NOT_MEASURED if gate is None else PASSED if gate.passed else FAILED
    return Judged(precision, state, _result(manifest, gate, backend, precision))


def _gate_here(manifest: Manifest, backend: str, precision: str) -> Gate | None:
    """Find what was measured of the present graphs on this instruction set."""
    variant = manifest.variant(graph_precision(precision))
    graphs = (manifest.files[one.file].sha256 for one in (manifest.variant(FP32), variant))
    here = (precision, backend, kernels_of(precision), *graphs)
    for gate in variant.gates:
        if (gate.precision, gate.backend, gate.instruction_set, *gate.graphs) == here:
            return gate
    return None


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


def _result(manifest: Manifest, gate: Gate | None, backend: str, precision: str) -> str:
    if gate is None:
        where = "this instruction set" if backend == BACKEND_OF_GATES else "a GPU"
        return f"{precision} gate not measured on {where}"
    then, now = gate.versions.get(BACKEND_OF_GATES), library_versions().get(BACKEND_OF_GATES)
    otherwise = f", measured with {BACKEND_OF_GATES} {then}" if then != now else ""
    images = images_of_gate(manifest, gate)
    known = f" ({images})" if images in (TRAINED_ON, OF_ANOTHER) else ""
    flips = f"{100 * gate.label_flip_share:.1f} % of labels change{known}{otherwise}"
    if gate.passed:
        return f"gate passed: {flips}"
    return (
        f"{precision} gate failed: {flips}, balanced accuracy {gate.balanced_accuracy.change:+.2f} "
        f"points, melanoma sensitivity {gate.melanoma_sensitivity.change:+.2f} points"
    )


def _refused(manifest: Manifest, backend: str, precision: str, why: str) -> EngineError:
    what = f"{precision} of {manifest.name} is not to be used"
    if backend != BACKEND_OF_GATES:
        return EngineError(
            f"{what} by {backend}: {why}.\n"
            "Next: --precision fp16 or fp32, --device cpu if its gate passed there, or --force"
        )
    return EngineError(
        f"{what}: {why}; wanted a gate that passed on {kernels_of(precision)}.\n"
        f"Next: hambatch engines verify --gate --data split.csv {manifest.name}, "
        "or --precision fp32, or --force"
    )
