"""Tables and records that were forged with care: the record's hashes and counts fit them."""

import csv
import hashlib
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from hambatch.engines.classes import RISKS
from tests.conftest import jpeg_bytes

Cells = list[dict[str, str]]

IMAGES, SAMPLED = 148, 32
PREDICTED = ("p_akiec", "p_bcc", "p_bkl", "p_df", "p_mel", "p_nv", "p_vasc")

# What a sample of seed 0 leaves out of 150 rows.
UNSAMPLED = sorted(set(range(150)) - set(random.Random(0).sample(range(150), SAMPLED)))  # noqa: S311


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(hambatch, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def scored(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 150 files and its table; every test forges a copy of the table."""
    place = tmp_path_factory.mktemp("forged")
    (place / "images").mkdir()
    for k in range(IMAGES):
        (place / "images" / f"{k:03d}.jpg").write_bytes(jpeg_bytes(k, width=48, height=40))
    (place / "images" / "empty.jpg").touch()
    (place / "images" / "gone.jpg").symlink_to("nowhere")
    (place / "images" / "linked").symlink_to(".")
    out = place / "preds.csv"
    assert invoke("score", place / "images", "--engine", tiny_engine, "--out", out).exit_code == 3
    return place


@pytest.fixture
def table(scored: Path, tmp_path: Path) -> Path:
    for name in ("preds.csv", "preds.csv.run.json"):
        shutil.copy(scored / name, tmp_path / name)
    return tmp_path / "preds.csv"


def forge(table: Path, change: Callable[[Cells], object]) -> None:
    """Change rows, and write into the record whatever follows from them."""
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    change(rows)
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    seal(table, rows)


def seal(table: Path, rows: Cells) -> None:
    ok = [row for row in rows if row["status"] == "ok"]
    failed = [row for row in rows if row["status"] != "ok"]

    def record_them(record: dict[str, Any]) -> None:
        record["output"]["sha256"] = hashlib.sha256(table.read_bytes()).hexdigest()
        record["counts"] = {
            "images": len(rows),
            "scored": len(ok),
            "failed": len(failed),
            "predictions": Counter(row["prediction"] for row in ok),
            "decoders": Counter(row["decoder"] for row in ok),
            "backends": Counter(row["backend"] for row in ok),
            "failures_by_reason": Counter(row["reason"] for row in failed),
            "flagged": 0,
            "flagged_by_reason": {},
            "risk": {risk: sum(row["risk"] == risk for row in rows) for risk in RISKS},
        }
        names = "".join(f"{row['image']}\n" for row in rows)
        listing = {"images": len(rows), "sha256": hashlib.sha256(names.encode()).hexdigest()}
        record["fingerprint"]["listing"].update(listing)

    edit_record(table, record_them)


def edit_record(table: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = table.with_name(f"{table.name}.run.json")
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record, indent=2))


def verify(table: Path, scored: Path, *options: object) -> Result:
    result = invoke("verify", table, scored / "images", *options)
    assert result.exit_code in (0, 3), result.output
    return result


def as_melanoma(row: dict[str, str]) -> None:
    row.update(dict.fromkeys(PREDICTED, "0.000000"))
    row.update(prediction="mel", confidence="1.000000", p_mel="1.000000", p_malignant="1.000000")


def as_failed(row: dict[str, str]) -> None:
    kept = {name: row[name] for name in ("image", "sha256")}
    row.update(dict.fromkeys(row, ""))
    row.update(kept, status="failed", reason="cannot be decoded: broken data stream")
    row.update(risk="review", risk_reason="not scored")


def test_forged_rows_are_found_by_a_sample_that_nobody_knows_before(
    table: Path, scored: Path
) -> None:
    unsampled = [k for k in UNSAMPLED if k < IMAGES]
    forge(table, lambda rows: [as_melanoma(rows[k]) for k in unsampled])
    assert len(unsampled) > 110
    result = verify(table, scored)
    assert result.exit_code == 3, f"{len(unsampled)} of 150 forged: {result.output}"
    assert "when scored again" in result.output


def test_the_failed_row_of_a_good_image_is_tried_again(table: Path, scored: Path) -> None:
    unsampled = UNSAMPLED[0]
    forge(table, lambda rows: as_failed(rows[unsampled]))
    result = verify(table, scored)
    assert f"{unsampled:03d}.jpg,status when scored again,failed,ok" in result.output


def test_the_seed_is_printed_and_repeats_the_sample(table: Path, scored: Path) -> None:
    said = verify(table, scored, "--sample", 5).output
    seeds = re.findall(r"--seed (\d+)", said)
    assert len(seeds) == 1, f"a sample without its seed: {said}"
    assert f"(5 of 148 scored, 2 of 2 failed rows; --seed {seeds[0]})" in said
    assert "the scores of the other 143 rows" in said
    forge(table, lambda rows: [as_melanoma(row) for row in rows[:IMAGES:2]])
    again = [verify(table, scored, "--sample", 5, "--seed", *seeds).output for _ in range(2)]
    assert again[0] == again[1]


def put(column: str, value: str, row: int = 3) -> Callable[[Cells], object]:
    return lambda rows: rows[row].update({column: value})


def swap_columns(rows: Cells) -> None:
    rows[:] = [dict(reversed(row.items())) for row in rows]


GONE = object()

GHOST = {"image": "ghost.jpg", "status": "failed", "reason": "cannot be read: Input/output error"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (put("p_malignant", "0.500000"), "p_malignant is not its sum"),
        (put("decoder", "magic"), "decoder is not of this run"),
        (put("decoder", "dali-gpu"), "decoder is not of this run"),
        (put("backend", "openvino-int8"), "backend is not of this run"),
        (put("reason", "call the patient"), "scored row with a reason"),
        (put("sha256", ""), "scored row without a sha256"),
        (put("reason", "call the patient", -2), "reason is none that a run gives"),
        (put("sha256", "", -2), "without its sha256"),
        (put("decoder", "pillow", -2), "failed row with a decoder"),
        (put("p_nv", "0", 3), "line 5 is not as a run writes it"),
        (put("image", "003%2Ejpg", 3), "image is not as a run writes it"),
        (lambda rows: [row.update(doctor="") for row in rows], "columns"),
        (swap_columns, "columns"),
        (lambda rows: rows.insert(149, dict.fromkeys(rows[0], "") | GHOST), "row without a file"),
    ],
)
def test_a_row_is_checked_without_being_scored(
    table: Path, scored: Path, change: Callable[[Cells], object], what: str
) -> None:
    forge(table, change)
    result = verify(table, scored, "--sample", 0)
    assert (result.exit_code, what in result.output) == (3, True), result.output


@pytest.mark.parametrize(
    "alias", ["./{}", "../images/{}", "{}/.", "{}/", "linked/{}", "{images}/{}", ".//{}", "{}%00"]
)
def test_an_image_has_no_second_row_by_another_path(table: Path, scored: Path, alias: str) -> None:
    name = alias.format("003.jpg", images=scored / "images")

    def add(rows: Cells) -> None:
        rows.append(rows[3] | {"image": name})
        rows.sort(key=lambda row: row["image"])

    forge(table, add)
    result = verify(table, scored, "--sample", 0)
    assert result.exit_code == 3, f"two rows of one image pass: {result.output}"
    assert f"{name},row without a file," in result.output


def test_a_failed_row_is_of_no_file_out_of_the_folder(table: Path, scored: Path) -> None:
    reason = "symbolic link out of the folder (--follow-symlinks reads it)"
    outside = {"image": "/etc/hosts", "status": "failed", "reason": reason}
    forge(table, lambda rows: rows.insert(0, dict.fromkeys(rows[0], "") | outside))
    result = verify(table, scored, "--sample", 0)
    assert (result.exit_code, "/etc/hosts,row without a file" in result.output) == (3, True)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "xlsx"])
def test_every_format_is_checked(
    scored: Path, tmp_path: Path, tiny_engine: Path, suffix: str
) -> None:
    import pandas as pd

    out = tmp_path / f"preds.{suffix}"
    few = tmp_path / "images"
    few.mkdir()
    for k in range(3):
        shutil.copy(scored / "images" / f"{k:03d}.jpg", few)
    invoke("score", few, "--engine", tiny_engine, "--out", out)
    assert invoke("verify", out, few, "--sample", 0).exit_code == 0
    if suffix == "jsonl":
        frame = pd.read_json(out, lines=True, precise_float=True).astype({"p_malignant": float})
        frame.loc[1, "p_malignant"] = 0.25
        frame.to_json(out, orient="records", lines=True)
    elif suffix == "xlsx":
        frame = pd.read_excel(out).astype({"p_malignant": float})
        frame.loc[1, "p_malignant"] = 0.25
        frame.to_excel(out, index=False)
    else:
        frame = pd.read_parquet(out)
        frame.loc[1, "p_malignant"] = 0.25
        frame.to_parquet(out, index=False)
    digest = hashlib.sha256(out.read_bytes()).hexdigest()
    edit_record(out, lambda record: record["output"].update(sha256=digest))
    result = invoke("verify", out, few, "--sample", 0)
    assert (result.exit_code, "p_malignant is not its sum" in result.output) == (3, True)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("counts.images", 151),
        ("counts.decoders.dali-cpu", 1),
        ("counts.failures_by_reason", {}),
        ("counts.predictions.mel", 0),
        ("hambatch", "9.9.9"),
        ("source", "/elsewhere"),
        ("engine.version", "7"),
        ("engine.graph", "other.onnx"),
        ("precision.used", "int8"),
        ("precision.gate", "certified"),
        ("device.kind", "gpu"),
        ("device.cores", 0),
        ("sentinels.checked", -1),
        ("sentinels.deviation", 0.5),
        ("sentinels.every", 64),
        ("fingerprint.pipeline.rules", 99),
        ("sentinels.tolerance", 0.5),
        ("options.max_megabytes", 1),
        ("options.tta", 8),
        ("fingerprint.listing.images", 3),
        ("fingerprint.listing.sha256", "0" * 64),
        ("fingerprint.versions.numpy", "1.0.0"),
        ("versions.openvino", "not a version"),
        ("changed_since_begun.added", "none"),
        ("timing.seconds", -3),
        ("timing.images", 10**6),
        ("timing.ended_utc", "yesterday"),
        ("counts", GONE),
        ("fingerprint.limits", GONE),
        ("fingerprint.device", GONE),
    ],
)
def test_the_record_is_checked_against_what_it_describes(
    table: Path, scored: Path, place: str, value: object
) -> None:
    def change(record: dict[str, Any]) -> None:
        *parents, key = place.split(".")
        for parent in parents:
            record = record[parent]
        assert key in record
        record[key] = value
        if value is GONE:
            del record[key]

    edit_record(table, change)
    result = invoke("verify", table, scored / "images", "--sample", 0)
    assert result.exit_code in (1, 3), f"{place} {value} passes: {result.output}"
    said = f"{result.output} {result.exception}"
    assert place.split(".")[-1].split("-")[0] in said


@pytest.mark.parametrize("place", ["", "counts", "sentinels", "precision", "device", "timing"])
def test_the_record_has_no_key_of_somebody_else(table: Path, scored: Path, place: str) -> None:
    said = {"approved_by": "a doctor"}
    edit_record(table, lambda record: (record[place] if place else record).update(said))
    result = verify(table, scored, "--sample", 0)
    assert result.exit_code == 3, f"passes: {result.output}"
    assert "record: keys that no run writes" in result.output
    assert "approved_by" in result.output


def test_no_line_shows_what_a_record_says_as_if_verify_said_it(table: Path, scored: Path) -> None:
    lie = "preds.csv\x1b]0;x\x07\nAll rows are proven"
    edit_record(table, lambda record: record["output"].update(file=lie))
    line = verify(table, scored, "--sample", 0).output
    assert line.count("\n") == 1, line
    assert 'the record calls the table "preds.csv%1B]0;x%07%0AAll rows are proven"' in line
    assert "how often sentinels and double checks were computed" in line


def test_the_engine_that_only_a_record_names_is_not_called_proven(
    table: Path, scored: Path, tiny_engine: Path
) -> None:
    unknown = f"that the engine is yours, as only the record names its folder, {tiny_engine}"
    assert unknown in verify(table, scored, "--sample", 0).output
    assert unknown not in verify(table, scored, "--sample", 0, "--engine", tiny_engine).output


def test_a_wider_tolerance_is_said_in_numbers(table: Path, scored: Path) -> None:
    def change(record: dict[str, Any]) -> None:
        record["versions"]["numpy"] = record["fingerprint"]["versions"]["numpy"] = "1.0.0"

    edit_record(table, change)
    result = verify(table, scored, "--sample", 1)
    assert result.exit_code == 0
    assert "a weaker proof (versions numpy was 1.0.0, is " in result.output
    assert "wrong by up to 0.0005 is not seen" in result.output


def test_no_score_is_called_proven_without_a_sample(table: Path, scored: Path) -> None:
    nothing = verify(table, scored, "--sample", 0).output
    assert "to the last digit" not in nothing, nothing
    assert "Not proven: any score, as no scored row was scored again" in nothing
    assert "no key seals them" in nothing
