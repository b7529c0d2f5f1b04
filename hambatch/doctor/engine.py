"""Whether the engine that `score` uses by default can be loaded, and as what it runs."""

from hambatch.asking import ask
from hambatch.config import ScoreOptions
from hambatch.doctor.catalogue import SCORING
from hambatch.doctor.finding import BROKEN, USABLE, Finding
from hambatch.placement import ON_CPU

SECONDS = 120.0
VERIFY = "hambatch engines verify"


def examine_engine(name: str = ScoreOptions.engine) -> Finding:
    """Load it in a process of its own, with the backend and precision of a plain `score` by CPU."""
    told = ask(
        "hambatch.doctor.engine_child",
        name,
        ON_CPU,
        ScoreOptions.precision,
        seconds=SECONDS,
    )
    said = dict(told.answers[0]) if told.answers else {"why": told.trouble, "next": VERIFY}
    if "why" in said:
        remedy = said["next"] or VERIFY
        return Finding("engine", name, BROKEN, SCORING, why=said["why"], next=remedy)
    about = f"loads; runs as {said['runs']} here ({said['chosen']})"
    return Finding("engine", said["name"], USABLE, SCORING, said["version"], about)
