"""Whether `hw_decoder_load` splits a group between two decoders whose pixels differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hambatch.batches import Row
from hambatch.config import ScoreOptions
from hambatch.parity.comparing import count_changed
from hambatch.parity.paths import ScoringPath
from hambatch.parity.runs import USUAL, Outcome, Run

ALL_ON_CORES, HALF, HALF_BACKWARDS = "load 0", "load 0.5", "load 0.5, backwards"


@dataclass(frozen=True)
class LoadEffect:
    """What other loads change against 1, the default: all JPEGs go to the GPU's JPEG engine.

    Attributes
    ----------
    difference_of_0, difference_of_half
        The largest of a probability, with loads 0 and 0.5 against 1.
    as_1, as_0, as_both, as_neither
        Rows with load 0.5 that are those of the one or the other.
    moved_by_place
        Rows with load 0.5 that change when the images are scored backwards.
    """

    path: str
    difference_of_0: float
    difference_of_half: float
    as_1: int
    as_0: int
    as_both: int
    as_neither: int
    moved_by_place: int


def load_runs(path: ScoringPath) -> list[Run]:
    """Score with other loads; nothing of them is judged."""
    return [
        Run(path, ALL_ON_CORES, _with_load(path, 0.0)),
        Run(path, HALF, _with_load(path, 0.5)),
        Run(path, HALF_BACKWARDS, _with_load(path, 0.5), backwards=True),
    ]


def effect_of(path: str, found: Mapping[str, Outcome]) -> LoadEffect | None:
    """Compare the runs of a path by name; None if one of them could not be done."""
    wanted = [found[name] for name in (USUAL, ALL_ON_CORES, HALF, HALF_BACKWARDS)]
    done = [rows for rows in wanted if isinstance(rows, list)]
    if len(done) < len(wanted):
        return None
    by_engine, by_cores, half, backwards = done
    like = _likeness(by_engine, by_cores, half)
    return LoadEffect(
        path=path,
        difference_of_0=count_changed(by_engine, by_cores).max_difference,
        difference_of_half=count_changed(by_engine, half).max_difference,
        as_1=like.count((True, False)),
        as_0=like.count((False, True)),
        as_both=like.count((True, True)),
        as_neither=like.count((False, False)),
        moved_by_place=count_changed(half, backwards).rows,
    )


def _with_load(path: ScoringPath, load: float) -> ScoreOptions:
    decoder = replace(path.options.decoder, hw_decoder_load=load)
    return replace(path.options, decoder=decoder)


def _likeness(
    by_engine: Sequence[Row], by_cores: Sequence[Row], half: Sequence[Row]
) -> list[tuple[bool, bool]]:
    rows = zip(by_engine, by_cores, half, strict=True)
    return [(found == one, found == other) for one, other, found in rows]
