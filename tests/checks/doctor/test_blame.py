"""What is broken because of something else points there."""

from hambatch.checks.doctor.examine import blame
from hambatch.checks.doctor.findings import BROKEN, DALI, MISSING, SCORING, USABLE, Finding

CRASH = "died of signal 11 (Segmentation fault)"


def blamed(dali: str, driver: str, openvino: str = USABLE, engine: str = USABLE) -> list[str]:
    """What to type for DALI and for the engine."""
    states = {
        "numpy": USABLE,
        "PIL.Image": USABLE,
        "openvino": openvino,
        DALI.module: dali,
        "engine": engine,
        "driver": driver,
    }
    findings = [
        Finding(part, part, state, SCORING, why=CRASH, next=f"mend {part}")
        for part, state in states.items()
    ]
    there = {finding.part: finding for finding in blame(findings)}
    return [there[DALI.module].next, there["engine"].next]


def test_dali_that_dies_of_a_broken_driver_points_there() -> None:
    assert blamed(BROKEN, BROKEN)[0] == "mend driver"


def test_dali_is_to_blame_itself_where_there_is_no_driver_or_a_sound_one() -> None:
    assert blamed(BROKEN, MISSING)[0] == blamed(BROKEN, USABLE)[0] == "mend nvidia.dali"


def test_dali_that_works_points_nowhere_else() -> None:
    assert blamed(USABLE, BROKEN)[0] == "mend nvidia.dali"


def test_an_engine_without_its_runtime_points_there() -> None:
    assert blamed(USABLE, USABLE, MISSING, BROKEN)[1] == "mend openvino"
    assert blamed(USABLE, USABLE, USABLE, BROKEN)[1] == "mend engine"


def test_the_cause_is_named() -> None:
    parts = {"numpy": MISSING, "engine": BROKEN, "openvino": USABLE}
    found = [
        Finding(part, f"the-{part}", state, SCORING, why="why") for part, state in parts.items()
    ]
    assert next(one.why for one in blame(found) if one.part == "engine") == (
        "why; the-numpy is missing, mend that first"
    )
