"""A record that somebody changed is refused, whatever part it lacks."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hambatch.engines.loading import load_engine
from hambatch.errors import InputError
from hambatch.scoring.journal.begun import DeviceHistory
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.record import history_of, options_of, read_record, temperature_used
from hambatch.sinks.publish import outputs_of, record_path

MISSING = object()


@pytest.fixture
def record(clean: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(record_path(clean), record_path(tmp_path / "preds.csv")))


def with_value(record: Path, where: str, value: object) -> None:
    whole: dict[str, Any] = json.loads(record.read_text())
    *parents, last = where.split(".")
    part = whole
    for name in parents:
        part = part[name]
    if value is MISSING:
        del part[last]
    else:
        part[last] = value
    record.write_text(json.dumps(whole))


ODD = [
    ("state", MISSING),
    ("state", "stopped by a sentinel"),
    ("output", []),
    ("output.sha256", None),
    ("fingerprint", []),
    ("fingerprint.engine", MISSING),
    ("fingerprint.engine", "tiny"),
    ("fingerprint.backend", 5),
    ("fingerprint.listing.sha256", MISSING),
    ("not_scored", []),
    ("not_scored", {}),
    ("not_scored.unreadable", []),
    ("not_scored.unreadable", {"a": 5}),
    ("not_scored.others.names", "abc"),
    ("not_scored.others.count", "3"),
    ("not_scored.others.more", 1),
    ("options", MISSING),
    ("options", []),
    ("options.engine", MISSING),
    ("options.engine", ""),
    ("options.engine", 5),
    ("options.backend", "tpu"),
    ("options.backend", []),
    ("options.precision", None),
    ("options.batch_size", "x"),
    ("options.batch_size", 0),
    ("options.batch_size", True),
    ("options.batch_size", 32.0),
    ("options.max_megabytes", None),
    ("options.max_megabytes", float("inf")),
    ("options.max_megapixels", float("nan")),
    ("options.max_megapixels", MISSING),
    ("options.decode_seconds", -1),
    ("options.salvage_truncated", 0),
    ("options.follow_symlinks", "no"),
    ("options.precision", "int4"),
    ("options.precision", ""),
    ("options.device", "0,0"),
    ("options.tta", 9),
    ("options.decoder.hw_decoder_load", 1.5),
    ("fingerprint.backend.precision", "auto"),
    ("fingerprint.backend.name", "tpu"),
    ("device.handed_over", "GPU 0"),
    ("device.handed_over", [{"from": None}]),
    ("device.notes", {"0": 1}),
    ("engine", "\ud800"),
    *(("calibration.temperature", value) for value in (0, -1.0, "1.8", True, [], 1.8)),
]


def test_odd_parts_are_refused(record: Path) -> None:
    read_record(record)
    whole = record.read_text()
    for where, value in ODD:
        record.write_text(whole)
        with_value(record, where, value)
        with pytest.raises(InputError, match="cannot be used as the record of a run") as refused:
            read_record(record)
        str(refused.value).encode()


@pytest.mark.parametrize("content", ["", "[]", "null", "{}", "[" * 100_000, "\x00"])
def test_what_is_no_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "preds.csv.run.json").write_text(content)
    with pytest.raises(InputError, match="cannot be used as the record"):
        read_record(tmp_path / "preds.csv.run.json")


def test_options_come_back_as_they_were(record: Path, tiny_engine: Path) -> None:
    assert options_of(read_record(record)["options"]) == ScoreOptions(engine=str(tiny_engine))


def test_options_of_speed_may_be_unknown_on_either_side(record: Path) -> None:
    with_value(record, "options.prefetch", MISSING)
    with_value(record, "options.warp", 9)
    assert options_of(read_record(record)["options"]).prefetch == ScoreOptions().prefetch


def test_it_says_what_ran_on_what(clean: Path, tiny_engine: Path) -> None:
    found, manifest = read_record(record_path(clean)), load_engine(tiny_engine).manifest
    assert found["counts"]["images"] == 24
    assert found["counts"]["backends"] == {"openvino-fp32": 24}
    assert found["output"]["sha256"] == hashlib.sha256(clean.read_bytes()).hexdigest()
    assert found["engine"]["graph_sha256"] == manifest.files["model.onnx"].sha256
    assert found["options"]["batch_size"] == ScoreOptions().batch_size


def test_a_record_of_before_there_was_a_choice_is_still_read(record: Path) -> None:
    whole = json.loads(record.read_text())
    del whole["precision"], whole["calibration"], whole["device"]
    for name in ("device", "force", "tta", "calibration", "fail_over", "decoder"):
        del whole["options"][name]
    record.write_text(json.dumps(whole))
    found = read_record(record)
    assert options_of(found["options"]).force is False
    assert history_of(found) == DeviceHistory()
    assert temperature_used(found) is None


def test_a_run_leaves_these_files(clean: Path) -> None:
    assert {*clean.parent.iterdir()} == {clean, record_path(clean)} < {*outputs_of(clean)}
