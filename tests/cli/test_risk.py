"""From images to a table that says which rows a person has to look at, and why."""

import csv
import io
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import hambatch
from hambatch.backends import load_backend
from hambatch.cli import hambatch as command
from hambatch.engines.feature_statistics import (
    Directions,
    statistics_of,
    write_feature_statistics,
)
from hambatch.engines.image_checks import write_image_checks
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import read_manifest
from hambatch.engines.measurements import Scored
from hambatch.engines.synthetic import synthesize
from hambatch.risk.pixel_measures import measure
from hambatch.training.image_checks import image_checks_of
from hambatch.types import Batch
from tests.conftest import write_tiny_engine
from tests.engines.made_certificate import CERTIFICATE

USUAL = 42


def pictures(count: int) -> Iterator[np.ndarray]:
    for seed in range(count):
        yield synthesize(np.random.default_rng(seed), 224, 224)


def checked_engine(folder: Path) -> Path:
    """Write an engine whose limits are of 42 synthetic images."""
    write_tiny_engine(folder, temperature=100)
    images = np.stack(list(pictures(USUAL)))
    nothing = [""] * USUAL
    backend = load_backend("openvino", load_engine(folder), "fp32", 1)
    (scored,) = backend.predict([Batch(np.arange(USUAL), images, nothing, nothing)])
    backend.close()
    labels = np.arange(USUAL) % 7
    found = statistics_of(scored.features, labels, np.zeros(USUAL, np.int64))
    write_feature_statistics(folder, found)
    directions = Directions(found.class_means, found.axes)
    measures = [measure(image) for image in images]
    write_image_checks(folder, image_checks_of(scored.features, measures, directions, ("made",)))
    write_manifest(folder, read_manifest(folder))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("risk")
    checked_engine(root / "engine")
    images = root / "images"
    images.mkdir()
    for number, image in enumerate(pictures(4)):
        Image.fromarray(image).save(images / f"usual_{number}.png")
    Image.fromarray(image // 4).save(images / "dark.png")
    noise = np.random.default_rng(1).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    Image.fromarray(noise).save(images / "noise.png")
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nx")
    done = score(root)
    assert done.exit_code == 3, done.output
    return root


def score(root: Path, *words: str) -> Result:
    line = ["score", str(root / "images"), "--out", str(root / "preds.csv"), *words]
    return CliRunner().invoke(command, [*line, "--engine", str(root / "engine")])


def table(root: Path) -> dict[str, dict[str, str]]:
    with (root / "preds.csv").open(newline="") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


def record(root: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads((root / "preds.csv.run.json").read_text())
    return found


def test_what_is_dark_noise_or_broken_is_for_review_and_the_usual_is_not(place: Path) -> None:
    found = table(place)
    assert "dark" in found["dark.png"]["quality"].split()
    assert "grain" in found["noise.png"]["quality"].split()
    assert float(found["noise.png"]["ood"]) > 1
    assert found["noise.png"]["risk_reason"].startswith("unlike the training images; ")
    assert found["broken.png"]["risk_reason"] == "not scored"
    assert found["broken.png"]["ood"] == found["broken.png"]["quality"] == ""
    for name in ("dark.png", "noise.png", "broken.png"):
        assert found[name]["risk"] == "review"
    for number in range(4):
        usual = found[f"usual_{number}.png"]
        assert (usual["quality"], usual["risk"], usual["risk_reason"]) == ("", "", "")
        assert 0 <= float(usual["ood"]) <= 1


def test_the_record_counts_what_was_found(place: Path) -> None:
    counts = record(place)["counts"]
    assert counts["flagged"] == 2
    assert counts["risk"] == {"refer": 0, "review": 3, "routine": 0}
    reasons = counts["flagged_by_reason"]
    assert isinstance(reasons, dict)
    assert (reasons["dark"], reasons["grain"]) == (1, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: row | {"risk": ""}, "risk does not follow from the row"),
        (lambda row: row | {"ood": "0.100000"}, "risk does not follow from the row"),
        (lambda row: row | {"quality": "grain dark"}, "no row"),
        (
            lambda row: row | {"quality": "", "risk": "", "risk_reason": "", "ood": "0.1"},
            "ood when scored again",
        ),
    ],
)
def test_verify_scores_the_checks_again_and_sees_a_changed_cell(
    place: Path, change: Callable[[dict[str, str]], dict[str, str]], said: str
) -> None:
    line = ["verify", str(place / "preds.csv"), str(place / "images")]
    line += ["--engine", str(place / "engine")]
    done = CliRunner().invoke(command, line)
    assert done.exit_code == 0, done.output
    whole = (place / "preds.csv").read_text()
    try:
        rows = [change(row) if name == "noise.png" else row for name, row in table(place).items()]
        with (place / "preds.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        done = CliRunner().invoke(command, line)
    finally:
        (place / "preds.csv").write_text(whole)
    assert done.exit_code == 3
    assert said in done.output


def test_python_gives_the_same_rows(place: Path) -> None:
    with hambatch.Scorer(str(place / "engine")) as scorer:
        rows = {row.image: row for row in scorer.score(place / "images")}
    for name, row in table(place).items():
        found = rows[name]
        assert (found.quality, found.risk, found.risk_reason) == (
            *(row["quality"], row["risk"], row["risk_reason"]),
        )
        assert found.ood == (float(row["ood"]) if row["ood"] else None)


def test_a_certificate_changes_the_risk_of_kept_rows_without_scoring_them(place: Path) -> None:
    before = table(place)
    scores = sorted(float(row["p_malignant"]) for row in before.values() if row["ood"])
    threshold = round((scores[2] + scores[3]) / 2, 4)
    manifest = read_manifest(place / "engine")
    of_this = Scored("openvino", "fp32", 1, None, manifest.files["model.onnx"].sha256)
    promise = replace(CERTIFICATE.promise, threshold=threshold)
    sealed = replace(CERTIFICATE, promise=promise, scored=of_this)
    write_manifest(place / "engine", replace(manifest, certificates=(sealed,)))

    done = score(place, "--update")
    assert done.exit_code == 3, done.output
    assert record(place)["update"]["scored"] == 0
    after = table(place)
    other = {name for name, row in after.items() if row["risk"] != before[name]["risk"]}
    assert len(other) >= 4
    assert f"{len(other)} risk changed" in done.output
    for name, row in after.items():
        if row["ood"]:
            refers = float(row["p_malignant"]) >= threshold
            flagged = before[name]["risk"] == "review"
            assert row["risk"] == ("refer" if refers else "review" if flagged else "routine")
    with io.StringIO((place / "preds.csv.changes.csv").read_text()) as stream:
        lines = {line["image"]: line for line in csv.DictReader(stream)}
    assert lines.keys() == other
    assert {line["change"] for line in lines.values()} == {"risk changed"}
    assert lines["usual_0.png"]["risk_before"] == ""
    assert lines["usual_0.png"]["risk"] == after["usual_0.png"]["risk"]


def test_a_table_from_before_a_certificate_is_still_verified(place: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(place, tmp_path / "again"))
    manifest = read_manifest(root / "engine")
    write_manifest(root / "engine", replace(manifest, certificates=()))
    line = ["verify", str(root / "preds.csv"), str(root / "images")]
    done = CliRunner().invoke(command, [*line, "--engine", str(root / "engine")])
    assert done.exit_code == 0, done.output
    assert "by which rows were referred were in force, as others are now" in done.output


def test_the_gallery_shows_pictures_by_an_engine_that_has_limits(
    place: Path, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.csv"
    truth.write_text("image_id,dx\n" + "".join(f"usual_{k},mel\n" for k in range(4)))
    line = ["evaluate", str(place / "preds.csv"), "--truth", str(truth), "--engine"]
    line += [str(place / "engine"), "--html", str(tmp_path / "page.html"), "--gallery", "2"]
    done = CliRunner().invoke(command, [*line, "--images", str(place / "images")])
    page = (tmp_path / "page.html").read_text()
    assert "data:image/" in page, done.output
    assert "not shown" not in page


@pytest.mark.parametrize("name", ["image_checks.json", "feature_statistics.npz"])
def test_limits_that_somebody_changed_are_refused(place: Path, tmp_path: Path, name: str) -> None:
    checked_engine(tmp_path / "engine")
    path = tmp_path / "engine" / name
    path.write_bytes(path.read_bytes() + b" ")
    line = ["score", str(place / "images"), "--out", str(tmp_path / "p.csv")]
    done = CliRunner().invoke(command, [*line, "--engine", str(tmp_path / "engine")])
    assert done.exit_code == 1
    assert name in str(done.exception)
