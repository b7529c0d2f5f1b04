"""`hambatch certify` from predictions to an engine with a certificate, in words and as JSON."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from hambatch.cli.certify import certify as command
from hambatch.engines.manifest import read_manifest
from hambatch.errors import InputError
from hambatch.evaluation.options import LabelOptions, LeakOptions
from hambatch.triage.options import CertifyOptions
from tests.triage.made import (
    Place,
    copied,
    images_of,
    write_place,
    write_predictions,
    write_truth,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return write_place(tmp_path_factory.mktemp("certify"), images_of())


@pytest.fixture
def place(made: Place, tmp_path: Path) -> Place:
    return copied(made, tmp_path)


def invoke(place: Place, *words: str, split: str = "certify") -> Result:
    line = ["certify", str(place.table), "--truth", str(place.truth), "--split", split, *words]
    return CliRunner().invoke(hambatch, line)


def test_it_says_what_is_promised_and_writes_nothing_by_itself(place: Place) -> None:
    before = (place.engine / "engine.json").read_bytes()
    done = invoke(place)
    assert done.exit_code == 0, done.exception
    for line in (
        r"rule         refer an image if p_malignant is 0\.\d{4} or more",
        r"promise      malignant lesions: sensitivity at least 0\.95 at a confidence of 0\.95",
        r"holds for    soft, openvino-fp32, temperature none; flagged images count by their score",
        r"missed       2 of 130 lesions \(\d+ images\)",
        r"specificity  0\.\d{3} \(0\.\d{3} to 0\.\d{3}\): \d+ of 200 other lesions are referred",
        r"Research use only: not a medical device\.",
    ):
        assert re.search(rf"^{line}$", done.stdout, re.MULTILINE), line
    assert "Nothing was written: --write seals" in done.stderr
    assert (place.engine / "engine.json").read_bytes() == before


def test_a_sealed_certificate_is_what_show_prints(place: Place) -> None:
    done = invoke(place, "--write", "--json")
    assert done.exit_code == 0, done.exception
    assert "soft: added the certificate for malignant, openvino-fp32" in done.stderr
    shown = CliRunner().invoke(hambatch, ["engines", "show", str(place.engine)])
    assert json.loads(shown.stdout)["certificates"] == [json.loads(done.stdout)["certificate"]]
    again = invoke(place, "--write")
    assert isinstance(again.exception, InputError)
    assert "Next: add --overwrite" in str(again.exception)
    assert invoke(place, "--write", "--overwrite").exit_code == 0


def test_an_estimate_is_marked_and_never_written(tmp_path: Path) -> None:
    place = write_place(tmp_path, images_of(part="test"))
    assert isinstance(invoke(place, split="test").exception, InputError)
    done = invoke(place, "--estimate", split="test")
    assert done.exit_code == 0, done.exception
    assert "ESTIMATE, NOT A CERTIFICATE: " in done.stdout
    assert "--split test of the table of soft" in done.stdout
    assert "promise      " not in done.stdout
    assert read_manifest(place.engine).certificates == ()


def test_a_note_says_that_lesions_are_not_known(place: Place) -> None:
    images = [
        one._replace(image_id=f"own_{one.image_id}", lesion_id="", part="clinic")
        for one in images_of()
    ]
    write_predictions(place, images)
    truth = write_truth(place.truth.with_name("clinic.csv"), images)
    done = invoke(place._replace(truth=truth), split="clinic")
    assert f"NOTE: {len(images)} images without a lesion_id count as lesions" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--overwrite"], "--overwrite goes with --write"),
        (["--write", "--estimate"], "--write not with --estimate"),
        (["--sensitivity", "1"], "0.5<=x<1"),
        (["--confidence", "0.05"], "0.5<=x<1"),
        (["--sensitivity", "nan"], "not a finite number"),
        (["--target", "nevus"], "'nevus' is not one of"),
    ],
)
def test_a_wrong_promise_is_wrong_usage(place: Place, words: list[str], says: str) -> None:
    done = invoke(place, *words)
    assert done.exit_code == 2
    assert says in " ".join(done.stderr.split())


def test_every_option_is_a_field_of_some_options_with_its_default() -> None:
    own = {"predictions", "truth", "split", "write", "overwrite", "as_json"}
    options = {p.name: p.default for p in command.params if p.name not in own}
    fields = [vars(one) for one in (CertifyOptions(), LabelOptions(), LeakOptions())]
    known = {name: value for one in fields for name, value in one.items()}
    del known["exclude_trained"]
    assert options.keys() == known.keys()
    assert all(options[name] == value for name, value in vars(CertifyOptions()).items())
