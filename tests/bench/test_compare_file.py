import json

import pytest

from hambatch.bench.compare_file import MOST_BYTES, read_result
from hambatch.errors import InputError
from tests.bench.results import latency, result, throughput, write

GOOD = result(throughput([40.0, 41.0]), latency([25.0, 24.0]))


def changed(**parts):
    """Copy a good result, with parts of its throughput series replaced."""
    return GOOD | {"throughput": [GOOD["throughput"][0] | parts]}


def test_what_a_comparison_uses_is_read(tmp_path):
    read = read_result(write(tmp_path / "a.json", GOOD))
    assert (read.what, read.measured_utc) == ("engine", "2026-11-24T03:40:00+00:00")
    assert [(one.kind, one.repeats) for one in read.series] == [
        ("throughput", (40.0, 41.0)),
        ("latency", (25.0, 24.0)),
    ]
    assert read.series[0].settings["precision"] == "fp32"
    assert read.conditions["machine.cpu"] == "AMD EPYC"
    assert read.conditions["versions.openvino"] == "2026.4.0"


def test_a_result_without_an_engine_is_read(tmp_path):
    read = read_result(write(tmp_path / "a.json", GOOD | {"engine": None}))
    assert not any(name.startswith("engine") for name in read.conditions)


@pytest.mark.parametrize(
    ("whole", "found"),
    [
        ([], r"the whole is \[\], wanted object"),
        ({}, "kind is missing"),
        (GOOD | {"kind": "other"}, "kind: .*'other'"),
        (GOOD | {"format": 2}, "format: .*2"),
        (GOOD | {"format": "9" * 9999}, "format is '999"),
        (GOOD | {"what": ""}, "what is '', wanted str of length >= 1"),
        (GOOD | {"measured_utc": None}, "measured_utc is None"),
        (GOOD | {"machine": "fast"}, "machine is 'fast'"),
        (GOOD | {"throughput": {}}, r"throughput is \{\}"),
        (GOOD | {"throughput": [1]}, r"throughput\[0\] is 1"),
        (GOOD | {"throughput": [], "latency": []}, "it holds no measurement"),
        (GOOD | {"throughput": GOOD["throughput"] * 2}, "is there twice"),
        (changed(stage=None), "stage is None"),
        (changed(settings=[]), r"throughput\[0\].settings is \[\]"),
        (changed(images_per_s=[]), r"images_per_s is \[\], wanted array of length >= 1"),
        (changed(images_per_s=[40.0, 0]), r"images_per_s\[1\] is 0, wanted float >= 1e-12"),
        (changed(images_per_s=[40.0, float("nan")]), "it is not JSON"),
        (changed(images_per_s=[40.0, 10**400]), "beyond 64 bits"),
        (changed(images_per_s=[40.0, True]), "is True, wanted float"),
    ],
)
def test_a_malformed_result_is_refused_by_name_and_finding(tmp_path, whole, found):
    path = write(tmp_path / "odd.json", whole)
    with pytest.raises(InputError, match=rf"odd\.json: .*{found}") as refused:
        read_result(path)
    assert "Next: hambatch bench" in str(refused.value)
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[" * 200_000,
        b"1" * 5000,
        b'{"kind": "\\ud800"}',
        b" " * (MOST_BYTES + 1),
    ],
    ids=["empty", "no UTF-8", "cut", "nested", "digits", "half a character", "huge"],
)
def test_what_is_no_json_object_is_refused(tmp_path, content):
    path = tmp_path / "odd.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"odd\.json: "):
        read_result(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_result(path)


def test_texts_of_a_file_cannot_steer_a_terminal(tmp_path):
    nasty = "\x1b[2J\nfaster\u2028"
    whole = changed(name=nasty, settings={"a": nasty}) | {"machine": {"cpu": nasty}}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(whole))
    read = read_result(path)
    shown = [read.series[0].name, read.series[0].settings["a"], read.conditions["machine.cpu"]]
    assert all(text.isprintable() and text.encode() for text in shown)
