"""A run whose worker stops at a batch of images, and goes on when the test lets it."""

import os
from dataclasses import dataclass, field
from pathlib import Path

HOLD = """
import os, time
from hambatch.pipelines.scoring import ScoringPipeline
real, begun = ScoringPipeline._finish, 0
def finish(*given, **named):
    global begun
    begun += 1
    if begun == {batch}:
        open({place!r} + "/held", "a").close()
        while not os.path.exists({place!r} + "/go_on"):
            time.sleep(0.005)
    return real(*given, **named)
ScoringPipeline._finish = finish
"""


@dataclass
class Hold:
    """Holds the worker of every run that is started with :attr:`environment`.

    A row is written when a sentinel has been in its slot: held at a batch of three times the
    batch size, a run has written some rows, and far from all.
    """

    place: Path
    batch: int
    environment: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Write the code that holds it."""
        self.place.mkdir(exist_ok=True)
        code = HOLD.format(batch=self.batch, place=str(self.place))
        (self.place / "sitecustomize.py").write_text(code)
        self.environment = {**os.environ, "PYTHONPATH": str(self.place)}

    @property
    def is_held(self) -> bool:
        """Whether a worker has come to the batch."""
        return (self.place / "held").exists()

    def let_go(self) -> None:
        """Let it go on, and hold none any more."""
        (self.place / "go_on").touch()
