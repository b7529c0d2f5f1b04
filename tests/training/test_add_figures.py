"""Figures on other images come into an engine and its card, and its tables stay its own."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import read_manifest
from hambatch.engines.training_images import (
    TrainingImage,
    TrainingImages,
    hashed,
    write_training_images,
)
from hambatch.errors import EngineError, InputError
from hambatch.ham10000.table import COLUMNS
from hambatch.system.files import as_json, sha256_of_file, with_checksum
from hambatch.training.add_figures import (
    About,
    Evaluation,
    add_figures,
    read_evaluation,
    renew_card,
)
from hambatch.training.calibrate import record_calibration
from tests.conftest import jpeg_bytes
from tests.engines.fitted import calibration_of
from tests.faults.soft_engine import write_soft_engine, write_tiny_graph

CARD = "# soft 1\n\n## Data\n\nSome.\n\n## Limits\n\n- One.\n\n## Licence\n\nFree.\n"
COUNT = 14


class Place(NamedTuple):
    """An engine, 14 images, their predictions and truth, and their evaluation."""

    engine: Path
    images: Path
    table: Path
    truth: Path
    evaluation: Path


def invoke(*words: object) -> Result:
    return CliRunner().invoke(hambatch, [str(word) for word in words])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("figures")
    found = Place(
        *(root / n for n in ("soft", "images", "preds.csv", "truth.csv", "evaluation.json"))
    )
    found.images.mkdir()
    rows = []
    for k in range(COUNT):
        (found.images / f"i{k}.jpg").write_bytes(jpeg_bytes(k))
        rows.append((f"i{k}", CLASSES[k % 7], sha256_of_file(found.images / f"i{k}.jpg"), "test"))
    write_split_table(found.truth, [*rows, ("other", "nv", "e" * 64, "train")])
    write_soft_engine(found.engine)
    (found.engine / "card.md").write_text(CARD)
    trained = (TrainingImage(hashed("other"), "", "", "train", "", 0),)
    write_training_images(found.engine, TrainingImages("f" * 64, {}, ("ours",), trained, ()))
    about = {"split_sha256": sha256_of_file(found.truth), "trained_on": ["train"]}
    write_manifest(found.engine, replace(read_manifest(found.engine), data=about))
    done = invoke("score", found.images, "--engine", found.engine, "--out", found.table)
    assert done.exit_code == 0, done.output
    done = invoke("evaluate", found.table, "--truth", found.truth, "--split", "test", "--json")
    assert done.exit_code == 0, done.output
    found.evaluation.write_text(done.stdout)
    return found


def write_split_table(path: Path, rows: list[tuple[str, str, str, str]]) -> None:
    """Write a table like that of `prepare` from id, class, hash and part; a lesion an image."""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="")
        writer.writeheader()
        for image_id, dx, sha256, part in rows:
            own = {"image_id": image_id, "lesion_id": f"L{image_id}", "file": f"{image_id}.jpg"}
            writer.writerow(own | {"dx": dx, "sha256": sha256, "split": part})


@pytest.fixture
def engine(place: Place, tmp_path: Path) -> Path:
    return Path(shutil.copytree(place.engine, tmp_path / "soft"))


def add(engine: Path, evaluation: Path, kind: str = "internal", name: str = "test part") -> Result:
    return invoke("engines", "add-figures", engine, evaluation, "--kind", kind, "--name", name)


def test_they_are_in_the_engine_and_in_its_card(place: Place, engine: Path) -> None:
    before = load_engine(engine)
    done = add(engine, place.evaluation)
    assert done.exit_code == 0, done.exception
    assert "soft: added internal figures 'test part': balanced_accuracy 0." in done.output
    report = json.loads(place.evaluation.read_text())
    found = load_engine(engine).manifest.other_images
    assert found is not None
    (figures,) = found.figures
    assert (figures.kind, figures.images, figures.lesions, figures.part) == (
        "internal",
        COUNT,
        COUNT,
        "test",
    )
    auc = figures.figures["roc_auc_melanoma"]
    assert (auc.value, list(auc.interval or ())) == (
        report["roc_auc_melanoma"],
        report["intervals"]["roc_auc_melanoma"],
    )
    assert figures.predictions_sha256 == sha256_of_file(place.table)
    assert figures.truth_sha256 == sha256_of_file(place.truth)
    card = (engine / "card.md").read_text()
    assert "| test part | internal test | 14 (14) | all seven | openvino-fp32 | 0." in card
    assert f"{auc.value:.3f} (" in card
    assert card.index("Some.") < card.index("## Other images") < card.index("## Limits")
    assert "squamous cell carcinoma" in card
    assert card.endswith("## Licence\n\nFree.\n")
    # All else is as it was, in the form in which hambatch writes it.
    manifest = read_manifest(engine)
    assert (engine / "engine.json").read_text() == as_json(manifest.to_json())
    files = manifest.files | {"card.md": before.manifest.files["card.md"]}
    assert replace(manifest, other_images=None, files=files) == before.manifest


def test_tables_from_before_stay_those_of_the_engine(place: Place, engine: Path) -> None:
    before = load_engine(engine).manifest_sha256
    assert add(engine, place.evaluation).exit_code == 0
    assert load_engine(engine).manifest_sha256 == before
    done = invoke("verify", place.table, place.images, "--engine", engine, "--sample", 0)
    assert done.exit_code == 0, done.output
    # A calibration changes rows.
    record_calibration(load_engine(engine), calibration_of(1.5))
    assert load_engine(engine).manifest_sha256 != before


def test_the_same_name_replaces_and_removing_gives_the_engine_back(
    place: Place, engine: Path, tmp_path: Path
) -> None:
    before = contents(engine)
    assert add(engine, place.evaluation).exit_code == 0
    once = contents(engine)
    assert "replaced" in add(engine, place.evaluation).output
    assert contents(engine) == once
    assert add(engine, place.evaluation, "degraded", "test part, dark").exit_code == 0
    assert "; +0.000 |" in (engine / "card.md").read_text()
    for name in ("test part, dark", "test part"):
        assert invoke("engines", "remove-figures", engine, "--name", name).exit_code == 0
    after = contents(engine)
    assert {n for n in before if before[n] != after[n]} == {"engine.json", "card.md"}
    assert "## Other images" not in (engine / "card.md").read_text()
    assert load_engine(engine).manifest_sha256 == load_engine(place.engine).manifest_sha256
    done = invoke("engines", "remove-figures", engine, "--name", "x")
    assert "has no figures 'x'; it has: none" in str(done.exception)


def contents(engine: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in engine.iterdir()}


def test_a_later_calibration_keeps_them_and_says_so(place: Place, engine: Path) -> None:
    assert add(engine, place.evaluation).exit_code == 0
    record_calibration(load_engine(engine), calibration_of(1.5))
    card = (engine / "card.md").read_text()
    assert card.index("## Calibration") < card.index("## Other images") < card.index("## Limits")
    assert "Measured before the last calibration: test part." in card
    done = add(engine, place.evaluation)
    assert "with temperature None; wanted 1.5" in str(done.exception)
    # The identity is that of the engine that was calibrated and has no such figures.
    found = load_engine(engine)
    assert invoke("engines", "remove-figures", engine, "--name", "test part").exit_code == 0
    assert load_engine(engine).manifest_sha256 == found.manifest_sha256


def test_figures_of_a_graph_that_was_replaced_are_named(place: Place, engine: Path) -> None:
    assert add(engine, place.evaluation).exit_code == 0
    before = contents(engine)
    assert renew_card(engine) == read_manifest(engine)
    assert contents(engine) == before
    write_tiny_graph(engine / "model.onnx", temperature=2.0)
    write_manifest(engine, read_manifest(engine))
    renew_card(engine)
    load_engine(engine)
    note = "Measured with a graph that was replaced since: test part."
    assert note in (engine / "card.md").read_text()


OWN = "0" * 64
REFUSED: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("degraded", lambda e: e["predictions"]["engine"].update(graph_sha256=OWN), "a graph of soft"),
    ("degraded", lambda e: e["predictions"]["engine"].update(temperature=2), "temperature 2.0; w"),
    ("degraded", lambda e: e["predictions"].update(engine=None), "predictions without a record"),
    ("degraded", lambda e: e["predictions"].pop("engine"), "predictions.engine is missing"),
    ("degraded", lambda e: e.update(leak_check={"done": False, "needed": True}), "no leak check"),
    ("degraded", lambda e: e["leak_check"].update(validation_images=3), "3 of which chose"),
    ("degraded", lambda e: e.update(ece=1.5), "ece is 1.5, wanted float <= 1"),
    ("degraded", lambda e: e.update(ece=0.99), r"wanted one within its interval"),
    ("degraded", lambda e: e.update(n=13), "images is 13, wanted the sum of its classes"),
    ("degraded", lambda e: e["classes"].update(scc=e["classes"].pop("mel")), "'scc'], wanted som"),
    ("internal", lambda e: e["truth"].update(sha256=OWN), "the split table that soft was trained"),
    ("external", lambda e: None, "origin is internal"),
    ("external", lambda e: e.update(origin={"kind": "unknown", "why": "odd"}), "unknown (odd)"),
    ("held-out", lambda e: None, "trained on no other source"),
    ("left-out", lambda e: None, "predictions by soft itself"),
]


@pytest.mark.parametrize(("kind", "change", "says"), REFUSED)
def test_what_would_mislead_is_refused(
    place: Place,
    engine: Path,
    tmp_path: Path,
    kind: str,
    change: Callable[[dict[str, Any]], Any],
    says: str,
) -> None:
    before = contents(engine)
    done = add(engine, changed(place, tmp_path, change), kind)
    assert isinstance(done.exception, InputError)
    assert says in str(done.exception)
    assert "\nNext: " in str(done.exception)
    assert contents(engine) == before


def changed(place: Place, folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    values: dict[str, Any] = json.loads(place.evaluation.read_text())
    change(values)
    path = folder / "evaluation.json"
    path.write_text(json.dumps(values))
    return path


def by_another_engine(evaluation: dict[str, Any]) -> None:
    evaluation["predictions"]["engine"]["graph_sha256"] = OWN


def by_no_engine(evaluation: dict[str, Any]) -> None:
    evaluation["predictions"]["engine"] = None
    evaluation["leak_check"] = {"done": False, "needed": True, "no_engine": True}
    evaluation["origin"] = {"kind": "unknown", "why": "odd"}


def without_a_record(evaluation: dict[str, Any]) -> None:
    by_no_engine(evaluation)
    evaluation["leak_check"]["no_engine"] = False


def out_of_fold(evaluation: dict[str, Any]) -> None:
    evaluation["predictions"]["engine"] = None
    evaluation["leak_check"] = {"done": False, "needed": False}


def of_another_source(evaluation: dict[str, Any]) -> None:
    evaluation["origin"] = {"kind": "external"}


def test_a_left_out_source_is_of_another_training(
    place: Place, engine: Path, tmp_path: Path
) -> None:
    known = changed(place, tmp_path, by_another_engine)
    assert "origin is internal" in str(add(engine, known, "left-out", "BCN").exception)
    other = changed(place, tmp_path, lambda e: (by_another_engine(e), of_another_source(e)))
    assert add(engine, other, "left-out", "BCN").exit_code == 0
    card = (engine / "card.md").read_text()
    assert "| BCN | source left out by another training |" in card
    assert "another training, openvino-fp32" in card
    assert "of the recipe, not of these weights" in card
    assert "those on left-out sources are of the recipe" in card
    folds = changed(place, tmp_path, out_of_fold)
    assert "origin is internal" in str(add(engine, folds, "left-out", "folds").exception)
    lost = changed(place, tmp_path, without_a_record)
    assert "no leak check" in str(add(engine, lost, "left-out", "own").exception)
    # By networks that are no engine: evaluate --engine none.
    networks = changed(place, tmp_path, by_no_engine)
    assert add(engine, networks, "left-out", "ISIC").exit_code == 0
    assert "ISIC: scored by networks that are no engine, so there was no leak check." in (
        (engine / "card.md").read_text()
    )


def test_images_of_another_source_are_external_or_of_a_source_of_the_training(
    place: Place, engine: Path, tmp_path: Path
) -> None:
    other = changed(place, tmp_path, of_another_source)
    assert add(engine, other, "external", "clinic").exit_code == 0
    manifest = load_engine(engine).manifest
    extra = [{"source": "ISIC 2017", "side": 256}]
    write_manifest(engine, replace(manifest, data={**manifest.data, "extra": extra}))
    assert "origin is internal" in str(add(engine, place.evaluation, "held-out").exception)
    # As the user knows better than the training.
    assert add(engine, other, "held-out", "ISIC 2017, held out").exit_code == 0
    card = (engine / "card.md").read_text()
    assert "| clinic | external |" in card
    assert "| ISIC 2017, held out | held out of a training source |" in card
    assert "as under [Other images](#other-images)" in card
    assert "ISIC 2017 (256 pixels a side)" in card


@pytest.mark.parametrize("name", ["", " ", "a\n", "a|b", "a\udcff", "a\u202eb", "a" * 101])
def test_a_name_that_would_break_the_card_is_refused(place: Place, engine: Path, name: str) -> None:
    before = contents(engine)
    done = add(engine, place.evaluation, name=name)
    assert isinstance(done.exception, InputError)
    assert "name is" in str(done.exception)
    assert contents(engine) == before


class Killed(BaseException):
    """Stands for a process that ends at once."""


@pytest.mark.parametrize("writes", range(4))
def test_a_command_that_was_killed_repairs_the_engine_when_it_is_run_again(
    place: Place, engine: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    before = load_engine(engine).manifest_sha256
    left = iter(range(writes))

    def replace_or_die(source: Any, target: Any) -> None:
        if next(left, None) is None:
            raise Killed
        os.rename(source, target)

    with monkeypatch.context() as patched:
        # Nothing that the killed process would do afterwards is done.
        patched.setattr("hambatch.system.files.os.replace", replace_or_die)
        patched.setattr("hambatch.engines.loading.restore_card", lambda folder: None)
        with suppress(Killed):
            add_figures(engine, place.evaluation, About("internal", "test part"), print)
    if writes == 2:
        with pytest.raises(EngineError, match=r"Next: run the command that was interrupted again"):
            load_engine(engine)
    done = add(engine, place.evaluation)
    assert done.exit_code == 0, done.exception
    assert not list(engine.glob(".*.before"))
    assert load_engine(engine).manifest_sha256 == before
    assert "| test part | internal test |" in (engine / "card.md").read_text()


def test_a_full_disk_leaves_the_engine_as_it_was(
    place: Place, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, value: object) -> None:
        raise InputError(f"cannot write {path}: no space left")

    before = contents(engine)
    monkeypatch.setattr("hambatch.engines.additions.write_json", refuse)
    assert "no space left" in str(add(engine, place.evaluation).exception)
    assert contents(engine) == before


@pytest.mark.parametrize("checksum", [True, False])
def test_an_engine_without_optional_fields_keeps_its_identity(
    place: Place, engine: Path, checksum: bool
) -> None:
    values = json.loads((engine / "engine.json").read_text())
    del values["files"]["card.md"]["optional"], values["sha256"]
    values = with_checksum(values) if checksum else values
    (engine / "engine.json").write_text(as_json(values))
    before = load_engine(engine).manifest_sha256
    assert add(engine, place.evaluation).exit_code == 0
    assert load_engine(engine).manifest_sha256 == before


def test_figures_of_another_command_at_the_same_time_are_not_lost(
    place: Place, engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(path: Path) -> Evaluation:
        found = read_evaluation(path)
        with monkeypatch.context() as patched:
            patched.setattr("hambatch.training.add_figures.read_evaluation", lambda path: found)
            assert add(engine, path, name="first").exit_code == 0
        return found

    monkeypatch.setattr("hambatch.training.add_figures.read_evaluation", meanwhile)
    done = add(engine, place.evaluation, name="second")
    assert isinstance(done.exception, EngineError)
    assert "changed while this command ran" in str(done.exception)
    assert "| first |" in (engine / "card.md").read_text()


def test_an_engine_without_a_card_gets_none(place: Place, engine: Path) -> None:
    (engine / "card.md").unlink()
    write_manifest(engine, read_manifest(engine))
    before = load_engine(engine).manifest_sha256
    assert add(engine, place.evaluation).exit_code == 0
    assert load_engine(engine).manifest_sha256 == before
    assert not (engine / "card.md").exists()
