"""Known pictures in `engine.json`: optional, and exact where they are given."""

import json

import numpy as np
import pytest
from PIL import Image

from hambatch.engines.loading import find_engine, load_engine, write_manifest
from hambatch.engines.manifest import Manifest, read_manifest
from hambatch.engines.sentinels import MeasuredOn, Sentinel, Sentinels
from hambatch.engines.synthetic import PICTURES, write_sentinel_images
from hambatch.errors import EngineError
from hambatch.score.options import ScoreOptions
from tests.engine_json import rewrite

SPEC = Sentinels(
    (Sentinel("one.jpg", (0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1)),),
    tolerance_elsewhere=0.002,
    measured_on=MeasuredOn("openvino-fp32", "dali-cpu", "x86_64 avx2"),
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "one.jpg").write_bytes(b"a picture")
    write_manifest(tmp_path, Manifest("tiny", "1", files={}, variants=(), sentinels=SPEC))
    return tmp_path


def change(folder, **values):
    path = folder / "engine.json"
    whole = json.loads(path.read_text())
    rewrite(path, {**whole, "sentinels": {**whole["sentinels"], **values}})


def test_what_is_written_is_read_back(folder):
    assert read_manifest(folder).sentinels == SPEC


def test_an_engine_made_before_there_were_any_has_none(folder):
    path = folder / "engine.json"
    whole = json.loads(path.read_text())
    del whole["sentinels"]
    rewrite(path, whole)
    assert read_manifest(folder).sentinels == Sentinels()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pictures": [{"file": "two.jpg", "probabilities": [1, 0, 0, 0, 0, 0, 0]}]}, "no sha256"),
        ({"pictures": [{"file": "one.jpg", "probabilities": [0.5, 0.5]}]}, "has 2 probabilities"),
        ({"pictures": [{"file": "one.jpg", "probabilities": [0.1] * 7}]}, "that sum to 0.7"),
        ({"pictures": [{"file": "one.jpg", "probabilities": [float("nan")] * 7}]}, "sum to nan"),
        ({"pictures": [{"file": "one.jpg"}]}, "probabilities"),
        ({"tolerance": 0}, "tolerances are 0"),
        ({"tolerance": float("nan")}, "tolerances are nan"),
        ({"tolerance": "tight"}, "could not convert"),
        ({"tolerance": 0.1}, "tolerances are 0.1"),
        ({"surprise": 1}, "surprise"),
        ({"measured_on": {"machine": "mine"}}, "machine"),
    ],
)
def test_what_cannot_be_compared_with_is_refused(folder, values, said):
    change(folder, **values)
    with pytest.raises(EngineError, match=said):
        read_manifest(folder)


def test_pictures_are_drawn_once_and_never_over_the_engines_own(tmp_path):
    (tmp_path / "sentinel_1.jpg").write_bytes(b"the engine's")
    names = write_sentinel_images(tmp_path)
    assert (tmp_path / "sentinel_1.jpg").read_bytes() == b"the engine's"
    assert len(names) == len(set(PICTURES)) == 4
    assert sum((tmp_path / name).stat().st_size for name in names) < 60_000
    assert {path.name for path in tmp_path.iterdir()} == set(names)


def test_the_default_engine_knows_pictures_of_clearly_different_scores():
    engine = load_engine(find_engine(ScoreOptions().engine))
    spec = engine.manifest.sentinels
    known = np.array([picture.probabilities for picture in spec.pictures])
    assert len(set(known.argmax(axis=1))) == 4
    # Near 0 and 1 a softmax hides an error of the logits.
    assert known.max() < 0.7
    for first in range(4):
        for second in range(first):
            assert np.abs(known[first] - known[second]).max() > 0.2
    sizes = set()
    for picture in spec.pictures:
        with Image.open(engine.folder / picture.file) as image:
            sizes.add(image.size)
    assert len(sizes) == 4


def test_an_optional_file_that_is_not_here_keeps_its_entry(folder):
    (folder / "model.weights.h5").write_bytes(b"weights")
    written = write_manifest(folder, read_manifest(folder))
    (folder / "model.weights.h5").unlink()
    assert write_manifest(folder, read_manifest(folder)) == written
    (folder / "one.jpg").unlink()
    assert "one.jpg" not in write_manifest(folder, Manifest("t", "1", written.files, ())).files


ALSO = {
    "precision": "int8",
    "measured_on": {"backend": "openvino-int8", "decoder": "dali-cpu", "instruction_set": "x"},
    "tolerance_elsewhere": 0.05,
    "probabilities": [[0.2, 0.1, 0.3, 0.1, 0.1, 0.1, 0.1]],
}


def test_another_precision_has_a_record_of_its_own(folder):
    change(folder, also=[ALSO])
    spec = read_manifest(folder).sentinels
    assert spec.of("fp32") == spec
    assert spec.of("int8").pictures[0].probabilities[0] == 0.2
    assert spec.of("int8").measured_on.backend == "openvino-int8"
    assert spec.of("bf16") is None


def test_fp16_is_to_say_what_fp32_says_within_more(folder):
    change(folder, also=[ALSO])
    spec = read_manifest(folder).sentinels
    assert spec.of("fp16").pictures == spec.pictures
    assert spec.of("fp16").measured_on == spec.measured_on
    assert spec.of("fp16").tolerance_elsewhere == spec.elsewhere("fp16") == 0.02


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([ALSO, ALSO], "int8 is not the only one"),
        ([{**ALSO, "precision": "fp32"}], "fp32 is not the only one"),
        ([{**ALSO, "tolerance_elsewhere": 1.5}], "has the tolerance 1.5"),
        ([{**ALSO, "probabilities": []}], "is of 0 pictures"),
        ([{**ALSO, "probabilities": [[0.5, 0.5]]}], "has 2 probabilities"),
        ([{**ALSO, "surprise": 1}], "surprise"),
    ],
)
def test_a_record_of_another_precision_is_checked_too(folder, entries, said):
    change(folder, also=entries)
    with pytest.raises(EngineError, match=said):
        read_manifest(folder)
