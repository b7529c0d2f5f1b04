"""Rows out = images in, each about its own image, the same bytes every time."""

import csv
import hashlib
import os
import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from hambatch.engines.classes import CLASSES
from hambatch.errors import EngineError, InputError
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.rows import predict_files
from hambatch.scoring.run import score
from hambatch.sinks.publish import record_path
from hambatch.system.text import decode_name
from tests.conftest import REPOSITORY
from tests.scoring.conftest import Inject

SHARED = REPOSITORY.parent / "shared" / "data"
GOOD = 100


def options(engine: Path, **changes: object) -> ScoreOptions:
    return ScoreOptions(engine=str(engine), **changes)  # type: ignore[arg-type]


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_image_has_one_row_sorted_with_probabilities_that_sum_to_one(
    images: Path, clean: Path
) -> None:
    rows = read_rows(clean)
    names = [row["image"] for row in rows]
    assert names == sorted(names)
    assert len(rows) == 24
    for row in rows:
        p = [float(row[f"p_{name}"]) for name in CLASSES]
        assert sum(p) == pytest.approx(1, abs=5e-6)
        assert row["prediction"] == CLASSES[int(np.argmax(p))]
        assert float(row["confidence"]) == max(p)
        assert float(row["p_malignant"]) == pytest.approx(p[0] + p[1] + p[4], abs=2e-6)
        content = (images / row["image"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": 1, "threads": 3, "readers": 5, "prefetch": 4},
        {"batch_size": 7, "threads": 1},
    ],
)
def test_no_option_of_speed_changes_a_byte(
    images: Path, clean: Path, tiny_engine: Path, tmp_path: Path, changes: dict[str, int]
) -> None:
    score([images], tmp_path / "p.csv", "csv", options(tiny_engine, **changes))
    assert (tmp_path / "p.csv").read_bytes() == clean.read_bytes()


def test_bad_files_are_failed_rows_and_change_no_other_row(
    image_folder: Path, clean: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    (image_folder / "a" / "empty.jpg").touch()
    (image_folder / "junk.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    cut = (image_folder / "picture_00.jpg").read_bytes()[:900]
    (image_folder / "cut.jpg").write_bytes(cut)
    (image_folder / "gone.jpg").symlink_to("nowhere.jpg")
    outcome = score([image_folder], tmp_path / "mixed.csv", "csv", options(tiny_engine))
    rows = read_rows(tmp_path / "mixed.csv")
    failed = {row["image"]: row["reason"] for row in rows if row["status"] == "failed"}
    assert sorted(failed) == ["a/empty.jpg", "cut.jpg", "gone.jpg", "junk.png"]
    assert all(reason and "\n" not in reason for reason in failed.values())
    assert [r for r in rows if r["status"] == "ok"] == read_rows(clean)
    assert not outcome.complete


@pytest.fixture(scope="module")
def submission(
    images: Path, tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A submission that replaced another file; what that file held after a refusal."""
    out = tmp_path_factory.mktemp("submission") / "isic.csv"
    out.write_text("precious")
    with pytest.raises(InputError, match="--overwrite"):
        score([images], out, "isic", options(tiny_engine))
    held = out.read_text()
    score([images], out, "isic", options(tiny_engine), overwrite=True)
    return held, out


def test_the_isic_format_has_the_challenge_header(
    submission: tuple[str, Path], clean: Path
) -> None:
    lines = submission[1].read_text().splitlines()
    assert lines[0] == "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC"
    first = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    wanted = read_rows(clean)[0]
    assert first["image"] == Path(wanted["image"]).stem
    assert all(first[name.upper()] == wanted[f"p_{name}"] for name in CLASSES)


def test_an_existing_table_is_kept_without_overwrite(submission: tuple[str, Path]) -> None:
    held, out = submission
    assert held == "precious"
    assert len(read_rows(out)) == 24


def test_nothing_is_left_behind_when_the_run_cannot_be_done(
    images: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(tiny_engine, broken)
    with (broken / "model.onnx").open("r+b") as stream:
        stream.seek(100)
        stream.write(b"!")
    place = tmp_path / "place"
    place.mkdir()
    with pytest.raises(EngineError, match="sha256"):
        score([images], place / "preds.csv", "csv", options(broken))
    assert list(place.iterdir()) == []


def test_files_have_the_rights_that_the_umask_gives(clean: Path) -> None:
    for path in (clean, record_path(clean)):
        assert path.stat().st_mode & 0o777 == 0o640


@pytest.fixture
def slow_engine(tiny_engine: Path, inject: Inject) -> str:
    """An engine so slow that no answer is ready when the stages are full."""
    inject(
        "import time\nfrom hambatch.backends.openvino_cpu import OpenVinoBackend\n"
        "real = OpenVinoBackend._keep\n"
        "def keep(*given):\n    fired()\n    time.sleep(0.2)\n    real(*given)\n"
        "OpenVinoBackend._keep = keep\n"
    )
    return str(tiny_engine)


@pytest.mark.parametrize(
    "changes",
    [{"prefetch": 32, "batch_size": 1}, {"threads": 16, "batch_size": 1}, {"prefetch": 32}],
)
def test_no_depth_of_the_stages_makes_parent_and_worker_wait_for_each_other(
    images: Path, slow_engine: str, changes: dict[str, int]
) -> None:
    names = [name for name in ("last.png", "picture_00.jpg") for _ in range(30)]
    rows = predict_files(images, names, ScoreOptions(engine=slow_engine, **changes))  # type: ignore[arg-type]
    assert [row.image for row in rows] == names


def test_bad_files_behind_a_slow_one_do_not_stall_the_run(
    image_folder: Path, slow_engine: str
) -> None:
    (image_folder / "empty.jpg").touch()
    names = ["last.png", *["empty.jpg"] * 60, "last.png"]
    chosen = ScoreOptions(engine=slow_engine, batch_size=1, threads=8)
    rows = predict_files(image_folder, names, chosen)
    assert [row.status for row in rows] == ["ok", *["failed"] * 60, "ok"]


def test_without_dali_pillow_scores_everything_to_nearly_the_same(
    images: Path, clean: Path, tiny_engine: Path, tmp_path: Path, inject: Inject
) -> None:
    inject(
        "from hambatch.pipelines import decode, scoring\n"
        "scoring.has_dali = decode.has_dali = lambda: bool(fired())\n"
    )
    outcome = score([images], tmp_path / "pillow.csv", "csv", options(tiny_engine))
    assert outcome.tally.decoders == {"pillow": 24}
    for a, b in zip(read_rows(clean), read_rows(tmp_path / "pillow.csv"), strict=True):
        assert (b["image"], b["decoder"]) == (a["image"], "pillow")
        assert float(b["confidence"]) == pytest.approx(float(a["confidence"]), abs=0.02)


def test_odd_names_stay_one_line_a_row_and_lead_back_to_their_files(
    tiny_engine: Path, images: Path, tmp_path: Path
) -> None:
    root = tmp_path / "odd"
    root.mkdir()
    content = (images / "last.png").read_bytes()
    raw = [b"a,b.png", b'quo"te.png', b"cr\rlf\n.png", b"caf\xe9.png", b"=1+1.png", b"%41.png"]
    for name in raw:
        (root / os.fsdecode(name)).write_bytes(content)
    score([root], tmp_path / "p.csv", "csv", options(tiny_engine))
    text = (tmp_path / "p.csv").read_bytes().decode("utf-8")
    assert len(text.splitlines()) == len(raw) + 1
    found = {os.fsencode(decode_name(row["image"])) for row in read_rows(tmp_path / "p.csv")}
    assert found == set(raw)


def test_a_record_without_its_table_is_kept_too(
    images: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    record = tmp_path / "p.csv.run.json"
    record.write_text("precious")
    with pytest.raises(InputError, match=r"run\.json exists already"):
        score([images], tmp_path / "p.csv", "csv", options(tiny_engine))
    record.unlink()
    record.mkdir()
    with pytest.raises(InputError, match="is a folder"):
        score([images], tmp_path / "p.csv", "csv", options(tiny_engine))
    assert not (tmp_path / "p.csv").exists()


@pytest.mark.data
def test_every_file_of_the_mixture_has_its_row_and_good_ones_the_same_as_alone(
    tiny_engine: Path, tmp_path: Path
) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is missing")
    folder, chosen = tmp_path / "images", options(tiny_engine)
    folder.mkdir()
    for path in islice(sorted(SHARED.glob("ham10000/*_part_1/*.jpg")), GOOD):
        shutil.copy(path, folder)
    assert score([folder], tmp_path / "clean.csv", "csv", chosen).complete
    shutil.copytree(SHARED / "odd_images", folder / "ISIC_0025000_odd")
    outcome = score([folder], tmp_path / "mixed.csv", "csv", chosen)
    assert not outcome.complete
    clean = {row["image"]: row for row in read_rows(tmp_path / "clean.csv")}
    mixed = {row["image"]: row for row in read_rows(tmp_path / "mixed.csv")}
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}
    assert mixed.keys() == files
    assert len(clean) == GOOD
    assert {name: mixed[name] for name in clean} == clean
