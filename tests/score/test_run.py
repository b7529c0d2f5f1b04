"""Rows out = images in, each about its own image, the same bytes every time."""

import csv
import hashlib
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import load_engine
from hambatch.errors import BackendError, EngineError, InputError
from hambatch.score.options import ScoreOptions
from hambatch.score.plan import plan_run
from hambatch.score.rows import predict_files
from hambatch.score.run import score
from hambatch.score.worker.process import Worker
from hambatch.sources.reading import Item
from hambatch.system.text import decode_name


def options(engine: Path, **changes: object) -> ScoreOptions:
    return ScoreOptions(engine=str(engine), **changes)  # type: ignore[arg-type]


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_image_has_one_row_sorted_with_probabilities_that_sum_to_one(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "preds.csv"
    outcome = score(image_folder, out, "csv", options(tiny_engine))
    rows = read_rows(out)
    names = [row["image"] for row in rows]
    assert names == sorted(names)
    assert len(rows) == outcome.tally.scored == 24
    for row in rows:
        p = [float(row[f"p_{name}"]) for name in CLASSES]
        assert sum(p) == pytest.approx(1, abs=5e-6)
        assert row["prediction"] == CLASSES[int(np.argmax(p))]
        assert float(row["confidence"]) == max(p)
        assert float(row["p_malignant"]) == pytest.approx(p[0] + p[1] + p[4], abs=2e-6)
        content = (image_folder / row["image"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 1},
        {"batch_size": 7},
        {"threads": 1},
        {"threads": 3, "readers": 5, "prefetch": 4},
    ],
)
def test_no_option_of_speed_changes_a_byte(
    image_folder: Path, tiny_engine: Path, tmp_path: Path, changes: dict[str, int]
) -> None:
    score(image_folder, tmp_path / "a.csv", "csv", options(tiny_engine))
    score(image_folder, tmp_path / "b.csv", "csv", options(tiny_engine, **changes))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_bad_files_are_failed_rows_and_change_no_other_row(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    score(image_folder, tmp_path / "clean.csv", "csv", options(tiny_engine))
    (image_folder / "a" / "empty.jpg").touch()
    (image_folder / "junk.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    cut = (image_folder / "picture_00.jpg").read_bytes()[:900]
    (image_folder / "cut.jpg").write_bytes(cut)
    (image_folder / "gone.jpg").symlink_to("nowhere.jpg")
    outcome = score(image_folder, tmp_path / "mixed.csv", "csv", options(tiny_engine))
    rows = read_rows(tmp_path / "mixed.csv")
    failed = {row["image"]: row["reason"] for row in rows if row["status"] == "failed"}
    assert sorted(failed) == ["a/empty.jpg", "cut.jpg", "gone.jpg", "junk.png"]
    assert all(reason and "\n" not in reason for reason in failed.values())
    assert [r for r in rows if r["status"] == "ok"] == read_rows(tmp_path / "clean.csv")
    assert not outcome.complete


def test_the_record_says_what_ran_on_what(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "preds.csv"
    score(image_folder, out, "csv", options(tiny_engine))
    record = json.loads((tmp_path / "preds.csv.run.json").read_text())
    assert record["counts"]["images"] == 24
    assert record["output"]["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    engine = load_engine(tiny_engine)
    assert record["engine"]["graph_sha256"] == engine.manifest.files["model.onnx"].sha256
    assert record["counts"]["backends"] == {"openvino-fp32": 24}
    assert record["options"]["batch_size"] == ScoreOptions().batch_size


def test_the_isic_format_has_the_challenge_header(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    score(image_folder, tmp_path / "isic.csv", "isic", options(tiny_engine))
    score(image_folder, tmp_path / "preds.csv", "csv", options(tiny_engine))
    lines = (tmp_path / "isic.csv").read_text().splitlines()
    assert lines[0] == "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC"
    first = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    wanted = read_rows(tmp_path / "preds.csv")[0]
    assert first["image"] == Path(wanted["image"]).stem
    assert all(first[name.upper()] == wanted[f"p_{name}"] for name in CLASSES)


def test_an_existing_table_is_kept_unless_told(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "preds.csv"
    out.write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        score(image_folder, out, "csv", options(tiny_engine))
    assert out.read_text() == "precious"
    score(image_folder, out, "csv", options(tiny_engine), overwrite=True)
    assert len(read_rows(out)) == 24


def test_nothing_is_left_behind_when_the_run_cannot_be_done(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_engine, broken)
    with (broken / "model.onnx").open("r+b") as stream:
        stream.seek(100)
        stream.write(b"!")
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(EngineError, match="sha256"):
        score(image_folder, place / "preds.csv", "csv", options(broken))
    assert list(place.iterdir()) == []


def test_a_worker_that_dies_is_an_error_with_its_last_words_not_a_hang(
    image_folder: Path, tiny_engine: Path
) -> None:
    with Worker(plan_run(tiny_engine, options(tiny_engine)).job, patience=30) as worker:
        worker.wait_ready()
        pid = worker._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(BackendError, match="died of signal 9"):
            list(worker.answers([[Item(0, image_folder / "last.png")]]))


def test_files_can_be_scored_by_name_in_any_order(image_folder: Path, tiny_engine: Path) -> None:
    names = ["last.png", "picture_00.jpg", "a/picture_01.jpg"]
    rows = predict_files(image_folder, names, options(tiny_engine))
    assert [row.image for row in rows] == names
    assert all(row.status == "ok" for row in rows)


@pytest.mark.parametrize(
    "changes",
    [{"prefetch": 32, "batch_size": 1}, {"threads": 16, "batch_size": 1}, {"prefetch": 32}],
)
def test_no_depth_of_the_stages_makes_parent_and_worker_wait_for_each_other(
    image_folder: Path, changes: dict[str, int]
) -> None:
    # The shipped engine is slow enough that no answer is ready when the stages are full.
    names = [name for name in ("last.png", "picture_00.jpg") for _ in range(30)]
    rows = predict_files(image_folder, names, ScoreOptions(**changes))  # type: ignore[arg-type]
    assert [row.image for row in rows] == names


def test_bad_files_behind_a_slow_one_do_not_stall_the_run(image_folder: Path) -> None:
    (image_folder / "empty.jpg").touch()
    names = ["last.png", *["empty.jpg"] * 60, "last.png"]
    rows = predict_files(image_folder, names, ScoreOptions(batch_size=1, threads=8))
    assert [row.status for row in rows] == ["ok", *["failed"] * 60, "ok"]


def test_without_dali_pillow_scores_everything_to_nearly_the_same(
    image_folder: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(image_folder, tmp_path / "dali.csv", "csv", options(tiny_engine))
    (tmp_path / "sitecustomize.py").write_text(
        "from hambatch.pipelines import platform\nplatform.has_dali = lambda: False\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    outcome = score(image_folder, tmp_path / "pillow.csv", "csv", options(tiny_engine))
    assert outcome.tally.decoders == {"pillow": 24}
    for a, b in zip(
        read_rows(tmp_path / "dali.csv"), read_rows(tmp_path / "pillow.csv"), strict=True
    ):
        assert (b["image"], b["decoder"]) == (a["image"], "pillow")
        assert float(b["confidence"]) == pytest.approx(float(a["confidence"]), abs=0.02)


def test_odd_names_stay_one_line_a_row_and_lead_back_to_their_files(
    tiny_engine: Path, image_folder: Path, tmp_path: Path
) -> None:
    root = tmp_path / "odd"
    root.mkdir()
    content = (image_folder / "last.png").read_bytes()
    raw = [b"a,b.png", b'quo"te.png', b"cr\rlf\n.png", b"caf\xe9.png", b"=1+1.png", b"%41.png"]
    for name in raw:
        (root / os.fsdecode(name)).write_bytes(content)
    score(root, tmp_path / "p.csv", "csv", options(tiny_engine))
    text = (tmp_path / "p.csv").read_bytes().decode("utf-8")
    assert len(text.splitlines()) == len(raw) + 1
    found = {os.fsencode(decode_name(row["image"])) for row in read_rows(tmp_path / "p.csv")}
    assert found == set(raw)


def test_a_record_without_its_table_is_kept_too(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    record = tmp_path / "p.csv.run.json"
    record.write_text("precious")
    with pytest.raises(InputError, match=r"run\.json exists already"):
        score(image_folder, tmp_path / "p.csv", "csv", options(tiny_engine))
    record.unlink()
    record.mkdir()
    with pytest.raises(InputError, match="is a folder"):
        score(image_folder, tmp_path / "p.csv", "csv", options(tiny_engine))
    assert not (tmp_path / "p.csv").exists()
