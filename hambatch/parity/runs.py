"""The runs of a path: as usual, and in ways that must not change a row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hambatch.batches import Row
from hambatch.config import ScoreOptions
from hambatch.errors import HambatchError
from hambatch.parity.paths import ScoringPath
from hambatch.prediction import predict_files
from hambatch.sharing import share_cores

USUAL = "as usual"

Outcome = list[Row] | HambatchError
"""Rows in the order of the names, or why there are none."""


@dataclass(frozen=True)
class Run:
    """One pass over the images in a worker; ``backwards``: the last name first."""

    path: ScoringPath
    name: str
    options: ScoreOptions
    backwards: bool = False

    def rows(self, root: Path, names: Sequence[str]) -> list[Row]:
        """Score; rows in the order of the names, either way."""
        step = -1 if self.backwards else 1
        return predict_files(root, names[::step], self.options, anywhere=False)[::step]

    def outcome(self, root: Path, names: Sequence[str]) -> Outcome:
        """Score, or say why not: other runs go on."""
        try:
            return self.rows(root, names)
        except HambatchError as error:
            return error


def usual_run(path: ScoringPath) -> Run:
    """Score as `hambatch score` does by default."""
    return Run(path, USUAL, path.options)


def varied_runs(path: ScoringPath) -> list[Run]:
    """Change what a row must not depend on: sizes of batches, streams, places, the GPU.

    Backwards an image lies in another place of its group and of its request.
    """
    more = share_cores().streams + 1
    ways = [
        Run(path, _called(size, streams), replace(path.options, batch_size=size, streams=streams))
        for size, streams in ((1, 1), (7, more))
    ]
    ways.append(Run(path, "backwards", path.options, backwards=True))
    for number in path.other_gpus:
        ways.append(Run(path, f"gpu {number}", replace(path.options, device=str(number))))
    return ways


def _called(size: int, streams: int) -> str:
    return f"batches of {size}, {streams} stream{'' if streams == 1 else 's'}"
