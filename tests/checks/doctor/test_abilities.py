"""What works follows from what was found, and says what it lacks."""

import json

import pytest

from hambatch.checks.doctor.examine import Examination, abilities, as_text
from hambatch.checks.doctor.findings import (
    BROKEN,
    DALI,
    FOR_GPU,
    FOR_SCORING,
    FOR_TABLES,
    FOR_TRAINING,
    MISSING,
    SCORING,
    USABLE,
    Finding,
    findings,
)
from hambatch.system.gpus import Gpu, Probe

CARD = Gpu(0, "NVIDIA H100 PCIe", (9, 0), 79 * 2**30, "")
DRIVER = Probe("550.54.15", 12040, (CARD,), "", "")
NO_DRIVER = Probe("", 0, (), "no libcuda.so.1", "install it", absent=True)
PACKAGES = (*FOR_SCORING, DALI, *FOR_TABLES, *FOR_TRAINING, *FOR_GPU)


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
    found = (*parts, engine, *findings(probe))
    return Examination(found, tuple(abilities(found)))


def told(found: Examination) -> dict[str, tuple[bool, str]]:
    return {ability.what: (ability.works, ability.why) for ability in found.abilities}


def test_all_works_where_all_is_usable() -> None:
    found = examination()
    assert found.can_score
    assert all(works for works, _ in told(found).values())
    assert told(found)["scoring"] == (True, "loads; runs as it should")


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
    assert told(found)["scoring"] == (False, why)


def test_images_can_be_scored_without_dali_and_without_all_extras() -> None:
    absent = ("nvidia_dali_cuda120", "tensorflow_cpu", "keras", "pyarrow", "tensorrt", "pycuda")
    found = examination(NO_DRIVER, **dict.fromkeys(absent, MISSING))
    assert found.can_score
    assert told(found)["fast decoding"] == (
        False,
        "nvidia-dali-cuda120 is missing; Pillow decodes, more slowly",
    )
    assert told(found)["training and export"] == (
        False,
        "tensorflow-cpu is missing, keras is missing",
    )
    assert told(found)["Parquet tables"] == (False, "pyarrow is missing")


def test_dali_that_works_makes_no_gpu() -> None:
    works, why = told(examination(NO_DRIVER))["scoring on a GPU"]
    assert (works, why) == (False, "nvidia-driver is missing")
    works, why = told(examination(pycuda=MISSING))["scoring on a GPU"]
    assert (works, why) == (False, "pycuda is missing")
    works, why = told(examination(nvidia_dali_cuda120=MISSING))["scoring on a GPU"]
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
