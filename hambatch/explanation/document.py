"""The result of `hambatch explain`: ``explain.json``, and a few lines of summary."""

from collections import Counter
from pathlib import Path
from typing import Any

from hambatch import __version__
from hambatch.engines.backend_names import FP32
from hambatch.engines.loading import Engine
from hambatch.engines.probabilities import temperature_of
from hambatch.explanation.heat_map import RESEARCH_USE_ONLY, Explanation
from hambatch.explanation.selection import Selection
from hambatch.system.packages import library_versions
from hambatch.system.text import encode_name, first_names
from hambatch.types import Row

METHOD = {
    "name": "Grad-CAM in closed form",
    "source": "Selvaraju et al., ICCV 2017, arXiv:1610.02391",
    "map": "relu(sum over channels of mean gradient x activation), [row][column] from the top left",
    "layer": "the feature map that is averaged for the output features",
    "score": "the logit of the class, before temperature and softmax",
}

DIGITS = 7
"""Significant digits of a value of a map: what a float32 holds."""


def as_document(
    selection: Selection, engine: Engine, backend: str, found: list[Explanation]
) -> dict[str, Any]:
    """Put together plain values, the images in the order of the selection."""
    failed = sum(one.row.status != "ok" for one in found)
    manifest, graph = engine.manifest, engine.variant(FP32).file
    return {
        "hambatch": __version__,
        "use": RESEARCH_USE_ONLY,
        "method": METHOD,
        "engine": {
            "name": manifest.name,
            "version": manifest.version,
            "engine_json_sha256": engine.manifest_sha256,
            "graph": graph,
            "graph_sha256": manifest.files[graph].sha256,
            "temperature": temperature_of(manifest),
        },
        "backend": backend,
        "table": selection.table,
        "counts": {"images": len(found), "explained": len(found) - failed, "failed": failed},
        "images": [_image(one, manifest.classes) for one in found],
        "versions": library_versions(),
    }


def _image(one: Explanation, classes: tuple[str, ...]) -> dict[str, Any]:
    row = one.row
    known: dict[str, Any] = {
        "image": encode_name(row.image),
        "status": row.status,
        "reason": encode_name(row.reason),
        "sha256": row.sha256,
    }
    if one.in_table:
        known["in_table"] = {
            "prediction": one.in_table.prediction,
            "confidence": max(one.in_table.probabilities),
            "backend": one.in_table.backend,
        }
    if row.status != "ok" or one.maps is None:
        return known
    return known | {
        "decoder": row.decoder,
        **_scores(one.scored, classes),
        "of_map": _scores(row, classes),
        "other_label": one.other_label,
        "size": list(one.size) if one.size else None,
        "picture": one.file,
        "picture_of": one.of_class,
        "maps": {name: _rounded(one.maps[k]) for k, name in enumerate(classes)},
    }


def _scores(row: Row, classes: tuple[str, ...]) -> dict[str, Any]:
    """Give scores, and what computed them."""
    return {
        "backend": row.backend,
        "prediction": row.prediction,
        "probabilities": dict(zip(classes, row.probabilities, strict=True)),
    }


def _rounded(values: Any) -> list[list[float]]:
    return [[float(f"{value:.{DIGITS}g}") for value in row] for row in values.tolist()]


SHOWN = 5
"""How many different reasons, and images of two labels, the summary names."""


def _two_labels(image: dict[str, Any]) -> str:
    table, graph = (
        f"{scores['prediction']} {max(scores['probabilities'].values()):.3f}"
        for scores in (image, image["of_map"])
    )
    return f"{image['image']} is {table} in the table, {graph} by the map's graph"


def as_text(document: dict[str, Any], out: Path) -> str:
    """Sum up ``explain.json`` in a few lines: counts, and why images failed."""
    counts = document["counts"]
    lines = [
        f"{encode_name(str(out))}: {counts['images']} images, {counts['explained']} explained, "
        f"{counts['failed']} failed ({document['engine']['name']}, {document['backend']})"
    ]
    table = document["table"]
    if _is_of_another_engine(document):
        lines.append("  the table was scored with another engine, or another state of this one")
    explained = [one for one in document["images"] if one["status"] == "ok"]
    if table and explained:
        backends = " and ".join(sorted({one["backend"] for one in explained}))
        lines.append(f"  scores are the table's ({backends}), maps of {document['backend']}")
    others = [_two_labels(one) for one in explained if one["other_label"]]
    if others:
        named = first_names(others, SHOWN, "; ")
        lines.append(
            f"  WARNING: {document['backend']}, which the maps are of, predicts another class for "
            f"{len(others)} of {len(explained)} images: {named}"
        )
    reasons = Counter(one["reason"] for one in document["images"] if one["status"] != "ok")
    lines += [f"  failed: {n} x {reason}" for reason, n in reasons.most_common(SHOWN)]
    return "\n".join(lines)


def has_warning(document: dict[str, Any]) -> bool:
    """Tell whether maps and table disagree: by the engine, or by the class of an image."""
    explained = (one for one in document["images"] if one["status"] == "ok")
    return _is_of_another_engine(document) or any(one["other_label"] for one in explained)


def _is_of_another_engine(document: dict[str, Any]) -> bool:
    table, key = document["table"], "engine_json_sha256"
    return bool(table) and table[key] != document["engine"][key]
