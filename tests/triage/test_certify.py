"""A certificate rests on the engine's own scores of lesions that it never used, and is sealed."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from hambatch.engines.additions import write_additions
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import read_manifest
from hambatch.engines.measurements import Estimate, FiguresOn, Scored
from hambatch.engines.referral import rules_in_force
from hambatch.errors import EngineError, InputError
from hambatch.evaluation.options import LabelOptions, LeakOptions
from hambatch.evaluation.out_of_fold import write_out_of_fold
from hambatch.evaluation.tables import P_COLUMNS
from hambatch.system.files import as_json, sha256_of_file
from hambatch.training.calibrate import record_calibration
from hambatch.triage.certify import certify, date_of, seal
from hambatch.triage.options import CertifyOptions
from tests.engines.fitted import calibration_of
from tests.triage.made import (
    BENIGN,
    MALIGNANT,
    OTHERS,
    Image,
    Place,
    copied,
    images_of,
    read_record,
    write_place,
    write_predictions,
    write_record,
    write_truth,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return write_place(tmp_path_factory.mktemp("certify"), images_of())


@pytest.fixture
def place(made: Place, tmp_path: Path) -> Place:
    return copied(made, tmp_path)


def report_of(place: Place, **options: Any) -> dict[str, Any]:
    return certify(place.table, place.truth, "certify", CertifyOptions(**options))


def threshold_by_hand(images: list[Image], allowed: int) -> float:
    """Give the largest step of the grid that so few lesions are missed at."""
    scores: dict[str, float] = {}
    for one in images:
        if one.dx in MALIGNANT:
            known = scores.get(one.lesion_id, 1.0)
            scores[one.lesion_id] = min(known, round(one.score, 6))
    return int(sorted(scores.values())[allowed] * 10_000) / 10_000


def test_the_certificate_is_that_of_the_lesions(place: Place) -> None:
    images = images_of()
    made = report_of(place)["certificate"]
    # Of 130 lesions two may be missed.
    assert made["promise"] == {
        "target": "malignant",
        "sensitivity": 0.95,
        "confidence": 0.95,
        "threshold": threshold_by_hand(images, 2),
        "step": 0.0001,
    }
    positive, benign = made["found"]["positive"], made["found"]["benign"]
    assert (positive["lesions"], positive["missed"]) == (130, 2)
    assert positive["lower_bound"] >= 0.95
    threshold = made["promise"]["threshold"]
    referred = {one.lesion_id for one in images if one.dx in BENIGN and one.score >= threshold}
    assert (benign["lesions"], benign["referred"]) == (200, len(referred))
    assert made["scored"]["graph_sha256"] == load_engine(place.engine).graph_sha256("fp32")
    assert made["images"]["origin"] == "certify"
    assert made["images"]["predictions_sha256"] == sha256_of_file(place.table)
    assert made["images"]["truth_sha256"] == sha256_of_file(place.truth)


def test_melanoma_is_judged_by_its_own_column(tmp_path: Path) -> None:
    images = [one._replace(dx="mel") if one.dx == "bcc" else one for one in images_of()]
    found = report_of(write_place(tmp_path, images), target="melanoma")
    of_target = [one for one in images if one.dx in (*BENIGN, "mel")]
    # 87 lesions: none may be missed.
    assert found["found"]["positive"]["lesions"] == 87
    assert found["promise"]["threshold"] == threshold_by_hand(of_target, 0)
    assert found["found"]["benign"]["lesions"] == 243


def test_failed_rows_are_never_missed_and_all_failed_lesions_are_said(tmp_path: Path) -> None:
    images = images_of()
    lowest = {one.lesion_id: one for one in sorted(images, key=lambda one: -one.score)}
    worst = sorted(
        (one for one in lowest.values() if one.dx in MALIGNANT), key=lambda one: one.score
    )[0]
    before = report_of(write_place(tmp_path / "a", images))
    images = [one._replace(status="failed") if one == worst else one for one in images]
    after = report_of(write_place(tmp_path / "b", images))
    alone = sum(one.lesion_id == worst.lesion_id for one in images) == 1
    positive = after["found"]["positive"]
    assert positive["not_scored"] == int(alone)
    assert positive["lesions"] == 130 - int(alone)
    assert after["promise"]["threshold"] > before["promise"]["threshold"]
    assert after["certificate"]["images"]["failed"] == 1


def test_it_is_sealed_into_the_engine_and_its_card(place: Place) -> None:
    before = load_engine(place.engine)
    said = seal(report_of(place))
    assert said.startswith("soft: added the certificate for malignant, openvino-fp32")
    engine = load_engine(place.engine)
    (found,) = engine.manifest.certificates
    assert found.promise.threshold == threshold_by_hand(images_of(), 2)
    assert engine.manifest_sha256 == before.manifest_sha256 == found.engine_json_sha256
    assert (place.engine / "engine.json").read_text() == as_json(engine.manifest.to_json())
    card = (place.engine / "card.md").read_text()
    assert card.index("Some.") < card.index("## Certificates") < card.index("## Limits")
    assert f"| malignant | openvino-fp32 | {found.promise.threshold:.4f} | 0.95 at 0.95" in card
    assert "- One." in card
    # The file's own checksum covers it.
    path = place.engine / "engine.json"
    path.write_text(path.read_text().replace('"missed": 2', '"missed": 1'))
    with pytest.raises(EngineError, match="changed after it was written"):
        read_manifest(place.engine)


def test_one_of_the_same_kind_is_replaced_only_if_that_is_said(place: Place) -> None:
    report = report_of(place)
    seal(report)
    once = (place.engine / "engine.json").read_bytes()
    with pytest.raises(InputError, match=r"has a certificate.*\nNext: add --overwrite"):
        seal(report)
    assert (place.engine / "engine.json").read_bytes() == once
    lower = report_of(place, sensitivity=0.9)
    assert "replaced" in seal(lower, overwrite=True)
    (found,) = read_manifest(place.engine).certificates
    assert found.promise.sensitivity == 0.9


FIGURES = FiguresOn(
    "degraded",
    "dark",
    3,
    {"mel": 3},
    {"ece": Estimate(0.1)},
    "1" * 64,
    "2" * 64,
    "1",
    scored=Scored("openvino", "fp32"),
)


@pytest.mark.parametrize("first", ["figures", "certificate"])
def test_figures_and_certificates_come_and_go_and_the_identity_stays(
    place: Place, first: str
) -> None:
    before, report = load_engine(place.engine), report_of(place)
    for what in (first, "certificate" if first == "figures" else "figures"):
        if what == "figures":
            write_additions(load_engine(place.engine), figures=(FIGURES,))
        else:
            seal(report)
        assert load_engine(place.engine).manifest_sha256 == before.manifest_sha256
    card = (place.engine / "card.md").read_text()
    assert card.index("## Other images") < card.index("## Certificates") < card.index("## Limits")
    write_additions(load_engine(place.engine), figures=())
    engine = load_engine(place.engine)
    assert engine.manifest_sha256 == before.manifest_sha256
    assert len(engine.manifest.certificates) == 1
    assert "## Certificates" in (place.engine / "card.md").read_text()
    write_additions(engine, certificates=())
    assert load_engine(place.engine).manifest_sha256 == before.manifest_sha256


def test_a_later_calibration_voids_it_and_the_card_says_so(place: Place) -> None:
    report = report_of(place)
    seal(report)
    record_calibration(load_engine(place.engine), calibration_of(1.5))
    card = (place.engine / "card.md").read_text()
    assert "- malignant, openvino-fp32: holds no more, the engine was calibrated since." in card
    with pytest.raises(InputError, match=r"temperature None; wanted 1\.5"):
        report_of(place)
    identity = load_engine(place.engine).manifest_sha256
    write_predictions(place, images_of())
    seal(report_of(place), overwrite=True)
    assert load_engine(place.engine).manifest_sha256 == identity
    assert "holds no more" not in (place.engine / "card.md").read_text()


def test_an_engine_without_a_card_gets_none(place: Place) -> None:
    (place.engine / "card.md").unlink()
    write_manifest(place.engine, read_manifest(place.engine))
    before = load_engine(place.engine).manifest_sha256
    seal(report_of(place))
    assert load_engine(place.engine).manifest_sha256 == before
    assert not (place.engine / "card.md").exists()


def other_graph(record: dict[str, Any]) -> None:
    record["fingerprint"]["engine"]["graph_sha256"] = "0" * 64


def other_temperature(record: dict[str, Any]) -> None:
    for part in (record, record["fingerprint"]):
        part["calibration"]["temperature"] = 2.0


def two_precisions(record: dict[str, Any]) -> None:
    record["counts"]["backends"] = {"tensorrt-fp16-b32": 3, "openvino-fp32": 4}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (other_graph, "graph 0000.*; wanted a graph of soft"),
        (other_temperature, r"temperature 2\.0; wanted None"),
        (two_precisions, "rows by openvino-fp32, tensorrt-fp16; wanted one"),
        (
            lambda record: record["output"].update(sha256="0" * 64),
            "without a record that describes it",
        ),
    ],
)
def test_predictions_of_another_kind_are_refused(
    place: Place, change: Callable[[dict[str, Any]], None], says: str
) -> None:
    record = read_record(place)
    change(record)
    write_record(place, record)
    with pytest.raises(InputError, match=rf"{says}.*for a certificate\.\nNext: .*--estimate"):
        certify(place.table, place.truth, "certify", leaks=LeakOptions(engine=str(place.engine)))
    found = report_of(place, estimate=True)
    assert (found["kind"], found["certificate"]) == ("estimate", None)
    assert found["promise"]["threshold"] == threshold_by_hand(images_of(), 2)


@pytest.mark.parametrize("part", ["val", "test", "gate"])
def test_images_that_the_engine_used_are_refused(tmp_path: Path, part: str) -> None:
    place = write_place(tmp_path, images_of(part=part))
    says = "split val" if part == "val" else f"--split {part} of the table of soft; wanted its"
    with pytest.raises(InputError, match=says):
        certify(place.table, place.truth, part)
    found = certify(place.table, place.truth, part, CertifyOptions(estimate=True))
    assert says in found["why_estimate"]


def test_the_whole_table_of_the_engine_is_refused(place: Place) -> None:
    with pytest.raises(InputError, match="all splits of the table of soft; wanted its split cert"):
        certify(place.table, place.truth)


def test_an_image_that_was_trained_on_is_refused(place: Place) -> None:
    images = [*images_of(), OTHERS[0]]
    write_predictions(place, images)
    truth = write_truth(place.truth.with_name("all.csv"), images)
    with pytest.raises(InputError, match="1 with the same image"):
        certify(place.table, truth)


def test_images_that_were_trained_on_are_refused_and_not_left_out(place: Place) -> None:
    images = [*images_of(), OTHERS[0]]
    write_predictions(place, images)
    truth = write_truth(place.truth.with_name("all.csv"), images)
    with pytest.raises(InputError, match="found 1 images that were trained on"):
        certify(place.table, truth, leaks=LeakOptions(exclude_trained=True))


def test_photographs_cannot_be_counted_as_lesions_of_the_engines_own_table(place: Place) -> None:
    by_image = LabelOptions(lesion_column="image_id")
    with pytest.raises(InputError, match="wanted its own columns: image_id, dx and lesion_id"):
        certify(place.table, place.truth, "certify", labels=by_image)


def test_certificates_for_other_numbers_of_views_stand_beside_each_other(place: Place) -> None:
    seal(report_of(place))
    manifest = read_manifest(place.engine)
    (one,) = manifest.certificates
    four = replace(one, scored=replace(one.scored, views=4))
    both = replace(manifest, certificates=(one, four))
    write_manifest(place.engine, both)
    temperature = one.scored.temperature
    for views in (1, 4):
        assert rules_in_force(read_manifest(place.engine), views, temperature)
    assert four.key == ("malignant", "openvino-fp32, 4 views")


def test_an_image_of_the_part_without_a_row_is_refused(place: Place) -> None:
    write_predictions(place, images_of()[1:])
    with pytest.raises(InputError, match=r"1 images of the split certify without a row"):
        report_of(place)


def test_a_temperature_that_was_fitted_on_the_part_is_refused(place: Place) -> None:
    calibration = calibration_of(1.5)
    on = replace(calibration.fitted_on, parts=("val", "certify"))
    record_calibration(load_engine(place.engine), replace(calibration, fitted_on=on))
    write_predictions(place, images_of())
    with pytest.raises(InputError, match="temperature that was fitted on the split certify"):
        report_of(place)


def test_a_clinic_certifies_on_its_own_labelled_images(place: Place) -> None:
    images = [
        one._replace(image_id=f"own_{one.image_id}", lesion_id=f"P{one.lesion_id}", part="")
        for one in images_of(seed=3)
    ]
    write_predictions(place, images)
    truth = write_truth(place.truth.with_name("clinic.csv"), images)
    rows = pd.read_csv(truth, keep_default_na=False).replace({"dx": {"mel": "melanoma"}})
    rows.rename(columns={"dx": "diagnosis"}).to_csv(truth, index=False)
    labels = LabelOptions(label_column="diagnosis", map=(("melanoma", "mel"),))
    made = certify(place.table, truth, labels=labels)["certificate"]
    assert made["images"]["origin"] == "external"
    assert made["images"]["map"] == {"melanoma": "mel"}
    assert made["promise"]["threshold"] == threshold_by_hand(images, 2)
    # Images of the engine's own table are not external, whatever table names them.
    copy = write_truth(place.truth.with_name("copy.csv"), images_of())
    write_predictions(place, images_of())
    with pytest.raises(InputError, match=r"whose origin is (internal|unknown|mixed)"):
        certify(place.table, copy, leaks=LeakOptions(data=place.truth))


def test_out_of_fold_figures_are_an_estimate_never_a_certificate(tmp_path: Path) -> None:
    place = write_place(tmp_path, images_of(part="train"))
    table = pd.read_csv(place.table)
    images = pd.DataFrame(
        {"file": table["image"], "sha256": table["sha256"], "split": ["train"] * len(table)}
    )
    folds = write_out_of_fold(
        tmp_path, images, table[list(P_COLUMNS)].to_numpy(), sha256_of_file(place.truth), {}
    )
    with pytest.raises(InputError, match="out-of-fold predictions, by other networks"):
        certify(folds, place.truth, "train", leaks=LeakOptions(engine=str(place.engine)))
    found = certify(folds, place.truth, "train", CertifyOptions(estimate=True))
    assert found["certificate"] is None
    assert "out-of-fold predictions" in found["why_estimate"]
    assert found["found"]["positive"]["lesions"] == 131 - 1


def test_too_few_lesions_are_refused_with_how_many_are_missing(tmp_path: Path) -> None:
    place = write_place(tmp_path, images_of(positive=40))
    with pytest.raises(
        InputError,
        match=r"found 40 malignant lesions .*wanted at least 59: .* needs 59 if none is missed, "
        r"93 if one is, 124 if two are\. 19 are missing",
    ):
        report_of(place)
    with pytest.raises(InputError, match="40 malignant"):
        report_of(place, estimate=True)
    assert report_of(place, sensitivity=0.9)["found"]["positive"]["missed"] == 0


def test_a_threshold_that_refers_every_image_is_no_certificate(tmp_path: Path) -> None:
    images = images_of(positive=60)
    low = [one._replace(score=0.00009) for one in images if one.lesion_id == "Lcertify7"]
    images = [*low, *(one for one in images if one.lesion_id != "Lcertify7")]
    with pytest.raises(InputError, match=r"1 of 60 malignant lesions .*0 may be missed; threshold"):
        report_of(write_place(tmp_path, images))


def test_a_score_that_is_no_number_is_refused(place: Place) -> None:
    text = place.table.read_text()
    place.table.write_text(text.replace(",0.000000", ",nan", 1))
    with pytest.raises(InputError, match="a probability, 0 to 1"):
        report_of(place)


def test_its_date_may_be_set_and_two_runs_are_then_the_same(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1780000000")
    first, again = report_of(place), report_of(place)
    assert json.dumps(first) == json.dumps(again)
    assert first["certificate"]["date"] == "2026-05-28T20:26:40+00:00"
    for wrong in ("soon", "9" * 30):
        with pytest.raises(InputError, match="wanted seconds since 1970"):
            date_of({"SOURCE_DATE_EPOCH": wrong})
