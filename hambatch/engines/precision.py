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
    parse_backend,
)
from hambatch.engines.certificates import MALIGNANT_LESIONS
from hambatch.engines.manifest import Manifest
from hambatch.engines.measurements import GATE, Gate
from hambatch.engines.probabilities import temperature_of
from hambatch.engines.referral import Rules, rules_in_force
from hambatch.engines.tuned import Kept, Tuning, kept_tuning
from hambatch.errors import BackendError, EngineError
from hambatch.system.cpu import instruction_set, kernels_of, multiplies_bfloat16
from hambatch.system.packages import library_versions
from hambatch.system.text import in_words

PASSED, TUNED, FAILED = "passed", "tuned", "failed"
NOT_MEASURED, NOT_NEEDED = "not measured here", "not needed"
"""States of a gate, as the run record has them.

``tuned`` and ``failed``, where no gate was measured here: `hambatch engines tune` found the
precision within its limits, or beyond them.
"""

ALLOWED = (PASSED, TUNED)
"""States in which a precision runs without ``--force``."""


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

    @property
    def is_allowed(self) -> bool:
        """Whether it runs without ``--force``."""
        return self.state in ALLOWED


def choose_precision(
    manifest: Manifest,
    backend: str,
    wanted: str,
    *,
    force: bool = False,
    rules: Rules | None = None,
) -> Choice:
    """Choose one of ``WANTED``: by itself the fastest that was measured here and is allowed.

    The gate decides where it was measured here: it stands on labels. Elsewhere `hambatch engines
    tune` may allow a precision, and its rates say which is the fastest. ``force`` takes the wanted
    one all the same. ``rules`` are those of the certificates in force; None: for one view,
    calibrated. Where one is for malignant lesions, only precisions that have one
    are taken.

    Raises EngineError if a precision is wanted that cannot be had, or should not be; BackendError
    if the processor does not compute it.
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
        rules = rules_in_force(manifest, 1, temperature_of(manifest)) if rules is None else rules
        return _fastest(manifest, tuned_here(manifest), certified_precisions(rules))
    refuse_without_bfloat16(wanted)
    kept = tuned_here(manifest) if backend == BACKEND_OF_GATES else Kept()
    judged = _judged(manifest, backend, wanted, kept.tuning)
    if judged.is_allowed:
        return Choice(wanted, wanted, judged.why, judged.state)
    why = "; ".join([judged.why, *_not_used(kept)])
    if not force:
        raise _refused(manifest, backend, judged._replace(why=why))
    return Choice(wanted, wanted, why, judged.state, forced=True)


def tuned_here(manifest: Manifest) -> Kept:
    """Give what `hambatch engines tune` keeps of every precision that runs on this processor."""
    kept, here = kept_tuning(manifest), cheaper_here(manifest)
    if kept.tuning and kept.tuning.by_name.keys() != set(here):
        return Kept(why_not="it has other precisions than this processor")
    return kept


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


def _fastest(manifest: Manifest, kept: Kept, certified: Sequence[str]) -> Choice:
    """Take the first that is allowed, else FP32; say what became of the faster ones."""
    passed_over: list[Judged] = []
    for precision in _fastest_first(manifest, kept.tuning):
        judged = _judged(manifest, BACKEND_OF_GATES, precision, kept.tuning)
        if judged.is_allowed:
            judged = _unless_uncertified(_unless_slow(judged, kept.tuning), certified)
        if judged.is_allowed:
            why = "; ".join([judged.why, *_reasons(passed_over, kept)])
            return Choice(AUTO, precision, why, judged.state)
        passed_over.append(judged)
    if not passed_over:
        return Choice(AUTO, FP32, "the engine has no int8 graph")
    states = {one.state for one in passed_over}
    state = next(one for one in (FAILED, NOT_MEASURED, NOT_NEEDED) if one in states)
    return Choice(AUTO, FP32, "; ".join(_reasons(passed_over, kept)), state)


def _fastest_first(manifest: Manifest, tuning: Tuning | None) -> Sequence[Cheaper]:
    """Order what runs here by the rates that were measured on this machine, if any were."""
    here = cheaper_here(manifest)
    return sorted(here, key=lambda one: -tuning.rates[one]) if tuning else here


def _unless_slow(judged: Judged, tuning: Tuning | None) -> Judged:
    """Give one that is allowed back as not needed if FP32 is as fast on this machine."""
    if tuning is None or (rate := tuning.rates[judged.precision]) > tuning.images_per_s:
        return judged
    rates = f"{rate:.3g} and {tuning.images_per_s:.3g} images/s, tuned {tuning.date}"
    why = f"{judged.precision} is no faster than fp32 here ({rates})"
    return Judged(judged.precision, NOT_NEEDED, why)


def certified_precisions(rules: Rules) -> list[str]:
    """Name the precisions of OpenVINO that have a certificate for malignant lesions."""
    certified = (
        name for name, of in rules.items() if any(rule.target == MALIGNANT_LESIONS for rule in of)
    )
    found = (parse_backend(name) for name in certified)
    return [name.precision for name in found if name.library == BACKEND_OF_GATES]


def _unless_uncertified(judged: Judged, certified: Sequence[str]) -> Judged:
    """Give one that is allowed back as not needed if others are certified, and it is not."""
    if not judged.is_allowed or not certified or judged.precision in certified:
        return judged
    have = "has" if len(certified) == 1 else "have"
    why = f"{judged.precision} has no certificate, {in_words(certified)} {have}"
    return Judged(judged.precision, NOT_NEEDED, why)


def _reasons(passed_over: Sequence[Judged], kept: Kept) -> list[str]:
    """Say of each why it is not taken; once for neighbours whose gates were not measured."""
    reasons = []
    for state, group in groupby(passed_over, lambda one: one.state):
        ones = list(group)
        if state == NOT_MEASURED and len(ones) > 1:
            names = in_words([one.precision for one in ones])
            reasons.append(f"{names} gates not measured on this instruction set")
        else:
            reasons += [one.why for one in ones]
    return [*reasons, *_not_used(kept)] if reasons else []


def _not_used(kept: Kept) -> list[str]:
    """Say why what was tuned is not used, where that may have decided otherwise."""
    return [f"what engines tune has kept is not used: {kept.why_not}"] if kept.why_not else []


def _judged(manifest: Manifest, backend: str, precision: str, tuning: Tuning | None) -> Judged:
    """Judge by the gate; without one, by what was tuned."""
    gate = _gate_here(manifest, backend, precision)
    result = _result(manifest, gate, backend, precision)
    said = tuning.said_of(precision) if tuning else ""
    if gate is not None:
        why = f"{result}; {said}" if said and gate.passed else result
        return Judged(precision, PASSED if gate.passed else FAILED, why)
    if tuning is None:
        return Judged(precision, NOT_MEASURED, result)
    return Judged(precision, TUNED if tuning.is_within(precision) else FAILED, said)


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


def _refused(manifest: Manifest, backend: str, judged: Judged) -> EngineError:
    precision, state, why = judged
    what = f"{precision} of {manifest.name} is not to be used"
    if backend != BACKEND_OF_GATES:
        return EngineError(
            f"{what} by {backend}: {why}.\n"
            "Next: --precision fp16 or fp32, --device cpu if its gate passed there, or --force"
        )
    tune = f"hambatch engines tune SOURCE --engine {manifest.name}, or "
    return EngineError(
        f"{what}: {why}; wanted a gate that passed on {kernels_of(precision)}.\n"
        f"Next: {tune if state == NOT_MEASURED else ''}"
        f"hambatch engines verify --gate --data split.csv {manifest.name}, "
        "or --precision fp32, or --force"
    )
