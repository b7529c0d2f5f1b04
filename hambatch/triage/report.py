"""A certificate, or an estimate, as text for a terminal."""

from collections.abc import Iterator
from typing import Any

from hambatch.engines.certificates import CERTIFY
from hambatch.engines.referral import column_of
from hambatch.evaluation.report import RESEARCH, coverage, leak_check, left_out, mapped, origin
from hambatch.system.text import plural
from hambatch.triage.certify import CERTIFICATE


def format_certificate(report: dict[str, Any]) -> str:
    """Say what is promised, what it rests on, and what it costs."""
    return "\n".join([*_images(report), "", *_promise(report), *_figures(report), "", RESEARCH])


def _images(report: dict[str, Any]) -> Iterator[str]:
    if report["leak_check"] is not None:
        check = report["leak_check"]
        yield from (leak_check(check), origin(report["origin"], check["engine"]))
    yield from (*coverage(report["counts"]), *left_out(report["counts"]), *mapped(report["truth"]))
    if report["kind"] != CERTIFICATE:
        why = report["why_estimate"] or "--estimate was given"
        yield f"ESTIMATE, NOT A CERTIFICATE: {why}"
    elif own := report["certificate"]["images"]["without_lesion_id"]:
        yield (
            f"NOTE: {plural(own, 'image')} without a lesion_id count as lesions of their own; if "
            "some show the same lesion, the certificate promises too much"
        )


def _promise(report: dict[str, Any]) -> Iterator[str]:
    promise = report["promise"]
    column = column_of(promise["target"])
    yield f"rule         refer an image if {column} is {promise['threshold']:.4f} or more"
    said = f"{promise['sensitivity']:g} at a confidence of {promise['confidence']:g}"
    if report["kind"] != CERTIFICATE:
        yield f"no promise   of these lesions, this threshold would give {said}"
        return
    yield f"promise      {promise['target']} lesions: sensitivity at least {said}"
    made = report["certificate"]
    scored, own = made["scored"], made["images"]["origin"] == CERTIFY
    views = f", {scored['views']} views" if scored["views"] > 1 else ""
    how = f"temperature {scored['temperature'] or 'none'}{views}"
    engine = report["predictions"]["engine"]["name"]
    precision = f"{scored['backend']}-{scored['precision']}"
    yield f"holds for    {engine}, {precision}, {how}; flagged images count by their score"
    yield "images       " + ("split certify of the engine's table" if own else "external")


def _figures(report: dict[str, Any]) -> Iterator[str]:
    found = report["found"]
    positive, benign, benefit = found["positive"], found["benign"], found["net_benefit"]
    more = f"; {positive['not_scored']} more without a score" if positive["not_scored"] else ""
    yield (
        f"missed       {positive['missed']} of {positive['lesions']} lesions "
        f"({plural(positive['images'], 'image')}{more})"
    )
    yield (
        f"sensitivity  {_estimate(positive['sensitivity'])}; "
        f"lower bound {positive['lower_bound']:.3f}"
    )
    yield (
        f"specificity  {_estimate(benign['specificity'])}: {benign['referred']} of "
        f"{benign['lesions']} other lesions are referred"
    )
    images = positive["images"] + benign["images"]
    yield f"referred     {found['referred_share']:.1%} of {plural(images, 'image')}"
    yield (
        f"net benefit  {benefit['at_threshold']:.3f} for a lesion; refer all "
        f"{benefit['refer_all']:.3f}, refer none {benefit['refer_none']:.0f}"
    )


def _estimate(found: dict[str, Any] | None) -> str:
    if found is None:
        return "-"
    low, high = found["interval"]
    return f"{found['value']:.3f} ({low:.3f} to {high:.3f})"
