"""What works follows from what was found; what is broken points to its cause."""

import json

import pytest

from hambatch.checks.doctor.examine import Examination, abilities, as_text, blame
from hambatch.checks.doctor.findings import (
    BROKEN,
    DALI,
    FOR_FORMATS,
    FOR_GPU,
    FOR_SCORING,
    FOR_TABLES,
    FOR_TRAINING,
    MISSING,
    SCORING,
    USABLE,
    Finding,
    gpu_findings,
)
from hambatch.system.gpus import Gpu, Probe

CARD = Gpu(0, "NVIDIA H100 PCIe", (9, 0), 79 * 2**30, "")
DRIVER = Probe("550.54.15", 12040, (CARD,), "", "")
NO_DRIVER = Probe("", 0, (), "no libcuda.so.1", "install it", absent=True)
PACKAGES = (*FOR_SCORING, DALI, *FOR_FORMATS, *FOR_TABLES, *FOR_TRAINING, *FOR_GPU)


def examination(probe: Probe = DRIVER, **states: str) -> Examination:
    """All is usable but what is named, by its distribution with underscores."""
    parts = [
        Finding(
            package.module,
            package.distributions[0],
            states.get(package.distributions[0].replace("-", "_"), USABLE),
            package.needed_for,
            "1.2.3",
        )
        for package in PACKAGES
    ]
    state = states.get("engine", USABLE)
    engine = Finding("engine", "some-engine", state, SCORING, "1", "loads; runs as it should")
    found = (*parts, engine, *gpu_findings(probe))
    return Examination(found, tuple(abilities(found)))


def by_name(found: Examination) -> dict[str, tuple[bool, str]]:
    return {ability.what: (ability.works, ability.why) for ability in found.abilities}


def test_all_works_where_all_is_usable() -> None:
    found = examination()
    assert found.can_score
    assert all(works for works, _ in by_name(found).values())
    assert by_name(found)["scoring"] == (True, "loads; runs as it should")


@pytest.mark.parametrize(
    ("part", "state", "why"),
    [
        ("openvino", BROKEN, "openvino is broken"),
        ("numpy", MISSING, "numpy is missing"),
        ("engine", BROKEN, "some-engine is broken"),
        # It would be used because it is there.
        ("nvidia_dali_cuda120", BROKEN, "nvidia-dali-cuda120 is broken"),
    ],
)
def test_images_cannot_be_scored_without(part: str, state: str, why: str) -> None:
    found = examination(**{part: state})
    assert not found.can_score
    assert by_name(found)["scoring"] == (False, why)


def test_images_can_be_scored_without_dali_and_without_all_extras() -> None:
    absent = ("nvidia_dali_cuda120", "tensorflow_cpu", "keras", "pyarrow", "tensorrt", "pycuda")
    found = examination(NO_DRIVER, **dict.fromkeys(absent, MISSING))
    assert found.can_score
    assert by_name(found)["fast decoding"] == (
        False,
        "nvidia-dali-cuda120 is missing; Pillow decodes, more slowly",
    )
    assert by_name(found)["training and export"] == (
        False,
        "tensorflow-cpu is missing, keras is missing",
    )
    assert by_name(found)["Parquet tables"] == (False, "pyarrow is missing")


def test_dali_that_works_makes_no_gpu() -> None:
    works, why = by_name(examination(NO_DRIVER))["scoring on a GPU"]
    assert (works, why) == (False, "nvidia-driver is missing")
    works, why = by_name(examination(pycuda=MISSING))["scoring on a GPU"]
    assert (works, why) == (False, "pycuda is missing")
    works, why = by_name(examination(nvidia_dali_cuda120=MISSING))["scoring on a GPU"]
    assert (works, why) == (False, "nvidia-dali-cuda120 is missing")


def test_the_json_has_what_the_table_has() -> None:
    found = examination(NO_DRIVER, keras=BROKEN, pyarrow=MISSING)
    table = " ".join(as_text(found).split())
    read = json.loads(json.dumps(found.to_json()))
    assert read["can_score"] is True
    assert len(read["findings"]) == len(found.findings)
    for finding in read["findings"]:
        said = [finding[key] for key in ("name", "version", "about", "why", "next")]
        assert [one for one in said if one not in table] == []
        assert f"{finding['name']} {finding['state']}" in table
        assert f"for {finding['needed_for']}" in table
    for ability in read["abilities"]:
        said = "yes" if ability["works"] else "no"
        assert f"{ability['what']} {said} {ability['why']}" in table


def test_no_line_of_the_table_is_too_long_and_none_is_ragged() -> None:
    for line in as_text(examination()).splitlines():
        assert len(line) <= 100
        assert line == line.rstrip()


CRASH = "died of signal 11 (Segmentation fault)"


def blamed(dali: str, driver: str, openvino: str = USABLE, engine: str = USABLE) -> list[str]:
    """What to type for DALI and for the engine."""
    states = {
        "numpy": USABLE,
        "msgspec": USABLE,
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
        "why; the-numpy is missing, repair that first"
    )
