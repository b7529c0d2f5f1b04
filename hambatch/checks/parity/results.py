"""What was measured, as a JSON document and as text: tables, why paths were not taken, verdict."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hambatch.bench.machine import measured_with
from hambatch.bench.report import aligned
from hambatch.checks.options import ParityOptions
from hambatch.checks.parity.comparing import Compared, Tolerance
from hambatch.checks.parity.decoder_load import LoadEffect
from hambatch.checks.parity.paths import ScoringPath
from hambatch.engines.loading import Engine
from hambatch.scoring.record import utc_now
from hambatch.sources.entry import Entry
from hambatch.system.text import decode_name
from hambatch.types import Row


@dataclass(frozen=True)
class Taken:
    """Images, of how many the sources have."""

    entries: tuple[Entry, ...]
    listed: int

    def of(self, names: Sequence[str]) -> tuple[Entry, ...]:
        """Give the entries of some of them."""
        named = {decode_name(entry.name): entry for entry in self.entries}
        return tuple(named[name] for name in names)


@dataclass(frozen=True)
class Scorable:
    """Rows of the images that can be scored, and how many cannot, by reason."""

    rows: tuple[Row, ...]
    left_out: Counter[str]

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(row.image for row in self.rows)


@dataclass(frozen=True)
class Varied:
    """One varied run: no row may change. ``problem``: why it could not be done."""

    name: str
    rows_changed: int = 0
    max_difference: float = 0.0
    problem: str = ""

    @property
    def same(self) -> bool:
        """Whether every row is what it was, to the last byte."""
        return not (self.problem or self.rows_changed)


@dataclass(frozen=True)
class PathResult:
    """What became of one path.

    ``compared`` and ``tolerance`` are None of the reference, and of a path without rows;
    ``decoders`` and ``backends`` count its rows by what they name. ``problem`` says why a path
    that was taken has no rows.
    """

    path: ScoringPath
    decoders: Mapping[str, int]
    backends: Mapping[str, int]
    compared: Compared | None = None
    tolerance: Tolerance | None = None
    varied: tuple[Varied, ...] = ()
    problem: str = ""

    @property
    def within(self) -> bool:
        """Whether it is as near to the reference as it should be, or was not taken."""
        if self.compared and self.tolerance:
            return self.tolerance.holds(self.compared)
        return not self.problem

    @property
    def steady(self) -> bool:
        """Whether its rows stayed the same in every other way that was tried."""
        return all(varied.same for varied in self.varied)

    @property
    def verdict(self) -> str:
        """In a word or two."""
        if not self.path.taken:
            return "not taken"
        if self.problem:
            return "failed"
        if self.compared is None:
            return "reference"
        return "within" if self.within else "beyond"


@dataclass(frozen=True)
class Parity:
    """All that was measured; the first of ``results`` is the reference's."""

    engine: Engine
    options: ParityOptions
    taken: Taken
    images: Scorable
    results: tuple[PathResult, ...]
    load: LoadEffect | None

    @property
    def holds(self) -> bool:
        """Whether every path that was taken is within its tolerance, and steady."""
        return all(result.within and result.steady for result in self.results)

    @property
    def verdict(self) -> str:
        """Name what is not as it should be, or say that all is."""
        faults = [f"{r.path.name} {r.verdict}" for r in self.results if not r.within]
        faults += [
            f"rows of {r.path.name} change with how they are scored"
            for r in self.results
            if not r.steady
        ]
        if faults:
            return "; ".join(faults)
        compared = sum(result.compared is not None for result in self.results)
        first = self.results[0].path.name
        if not compared:
            return f"nothing to compare {first} with; its rows do not depend on how they are scored"
        return f"{compared} compared with {first}, all within tolerance; no row depends on its slot"


def as_document(found: Parity) -> dict[str, Any]:
    """Lay it out, with the machine and the versions that it holds for."""
    images = found.images
    return {
        "format": 1,
        "kind": "hambatch parity",
        "measured_utc": utc_now(),
        "holds": found.holds,
        "verdict": found.verdict,
        **measured_with(found.engine),
        "options": asdict(found.options),
        "source": {
            "listed": found.taken.listed,
            "taken": len(found.taken.entries),
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


def as_text(result: dict[str, Any]) -> str:
    """Lay out a document of :func:`hambatch.checks.parity.results.as_document`."""
    paths = result["paths"]
    tables = _differences(paths), _variations(paths)
    parts = [_about(result), *(aligned(table, right=False) for table in tables)]
    if problems := [line for path in paths for line in _problems(path)]:
        parts.append("\n".join(problems))
    if result["decoder_load"]:
        parts.append(_load(result["decoder_load"]))
    return "\n\n".join([*parts, f"Verdict: {result['verdict']}"])


def _about(result: dict[str, Any]) -> str:
    source, machine, engine = result["source"], result["machine"], result["engine"]
    left_out = f", {source['left_out']} of them left out" if source["left_out"] else ""
    reasons = [f"  {count} x {reason}" for reason, count in source["reasons"].items()]
    return "\n".join(
        [
            f"{source['taken']} of {source['listed']} images{left_out}",
            *reasons,
            f"{machine['cpu']}, {machine['cores']} cores; {engine['name']} {engine['version']}",
        ]
    )


def _differences(paths: Sequence[dict[str, Any]]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = [
        ("probabilities", "images", "largest", "mean", "labels", "tolerance", "")
    ]
    for path in paths:
        compared = path["compared"]
        cells = [""] * 5
        if compared:
            cells = [
                str(compared["images"]),
                f"{compared['max_difference']:.6f}",
                f"{compared['mean_difference']:.6f}",
                str(compared["label_flips"]),
                _tolerance(path["tolerance"]),
            ]
        failed = f", {compared['failed']} failed" if compared and compared["failed"] else ""
        rows.append((path["name"], *cells, f"{path['verdict']}{failed}"))
    return rows


def _tolerance(tolerance: dict[str, Any]) -> str:
    if tolerance["label_flips"] is not None:
        return f"{tolerance['label_flips']} labels"
    mean = tolerance["mean_difference"]
    largest = f"{tolerance['max_difference']:g}"
    return largest if mean is None else f"{largest}, mean {mean:g}"


def _variations(paths: Sequence[dict[str, Any]]) -> list[Sequence[str]]:
    taken = [path for path in paths if path["varied"]]
    names = list(dict.fromkeys(v["name"] for path in taken for v in path["varied"]))
    rows: list[Sequence[str]] = [("rows, scored otherwise", *names)]
    for path in taken:
        cells = {varied["name"]: _change(varied) for varied in path["varied"]}
        rows.append((path["name"], *(cells.get(name, "") for name in names)))
    return rows


def _change(varied: dict[str, Any]) -> str:
    if varied["problem"]:
        return "failed"
    if not varied["rows_changed"]:
        return "same"
    return f"{varied['rows_changed']} change, by {varied['max_difference']:.6f}"


def _problems(path: dict[str, Any]) -> Iterator[str]:
    if path["why_not"]:
        yield f"{path['name']} {path['verdict']}: {path['why_not']}"
        if path["next"]:
            yield f"  Next: {path['next']}"
    for varied in path["varied"]:
        if varied["problem"]:
            yield f"{path['name']}, {varied['name']}, failed: {varied['problem']}"


def _load(load: dict[str, Any]) -> str:
    return (
        f"hw_decoder_load, {load['path']}, against 1: with 0 a probability moves by up to "
        f"{load['difference_of_0']:.6f}, with 0.5 by up to {load['difference_of_half']:.6f}.\n"
        f"With 0.5, {load['as_1']} rows are as with 1, {load['as_0']} as with 0, "
        f"{load['as_both']} as with both, {load['as_neither']} as with neither; "
        f"{load['moved_by_place']} change with the slot of the image"
    )
