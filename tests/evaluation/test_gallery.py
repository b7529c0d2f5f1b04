"""The gallery has the worst errors, and pictures of those whose files can be decoded."""

import base64
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hambatch.engines.classes import CLASSES
from hambatch.errors import EngineError
from hambatch.evaluation import gallery
from hambatch.evaluation.gallery import gallery_pictures, worst_errors
from hambatch.evaluation.join import Joined
from hambatch.evaluation.options import LeakOptions
from hambatch.system.files import sha256_of_bytes
from tests.conftest import jpeg_bytes

AKIEC, BCC, BKL, DF, MEL, NV, VASC = range(7)


def joined(*images):
    """Images of (image_id, truth, prediction, confidence); the rest of p is at the other side."""
    ids, truth, predicted, confidence = zip(*images, strict=True)
    p = np.zeros((len(ids), 7))
    for row, (label, value) in enumerate(zip(predicted, confidence, strict=True)):
        p[row, NV if label in (AKIEC, BCC, MEL) else MEL] = 1 - value
        p[row, label] = value
    named = pd.DataFrame({"image_id": ids, "path": [f"{i}.jpg" for i in ids], "sha256": ""})
    malignant = p[:, [AKIEC, BCC, MEL]].sum(axis=1)
    truth, predicted = np.array(truth), np.array(predicted)
    return Joined(truth, predicted, p, malignant, np.array(ids), "image", named, {})


def ids(found):
    return {kind: [entry["image_id"] for entry in entries] for kind, entries in found.items()}


def test_errors_are_listed_by_kind_the_worst_first_and_none_twice():
    found = worst_errors(
        joined(
            ("right", MEL, MEL, 0.9),
            ("missed b", MEL, NV, 0.8),
            ("missed a", BCC, DF, 0.8),
            ("alarm", NV, MEL, 0.6),
            ("worse alarm", DF, BCC, 0.7),
            ("other malignant", MEL, BCC, 0.9),
            ("other benign", NV, DF, 0.95),
        ),
        5,
    )
    assert ids(found) == {
        "missed_malignant": ["missed a", "missed b"],
        "false_alarms": ["worse alarm", "alarm"],
        "wrong_labels": ["other benign", "other malignant"],
    }
    assert found["false_alarms"][0]["truth"] == "df"
    assert found["false_alarms"][0]["probabilities"]["bcc"] == 0.7
    assert found["false_alarms"][0]["p_malignant"] == 0.7


def test_at_most_so_many_of_each_kind_are_listed_whatever_the_order_of_the_rows():
    images = [(f"i{k}", MEL, NV, 0.9 - k % 3 / 10) for k in range(9)]
    for rows in (images, images[::-1]):
        assert ids(worst_errors(joined(*rows), 4))["missed_malignant"] == ["i0", "i3", "i6", "i1"]


def entries(*known):
    p = dict.fromkeys(CLASSES, 0.0)
    entry = {"truth": "mel", "prediction": "nv", "p_malignant": 0.1, "probabilities": p}
    named = [{"image_id": i, "image": f"{i}.jpg", "sha256": digest} for i, digest in known]
    return {"missed_malignant": [entry | one for one in named], "false_alarms": []}


def test_pictures_come_from_a_worker_and_a_bad_file_costs_its_own_alone(
    tmp_path, tiny_engine, monkeypatch
):
    contents = {"wide": jpeg_bytes(1, 96, 48), "good": jpeg_bytes(2), "cut": jpeg_bytes(3)[:900]}
    for name, content in {**contents, "swapped": jpeg_bytes(4)}.items():
        (tmp_path / f"{name}.jpg").write_bytes(content)
    known = {name: sha256_of_bytes(content) for name, content in contents.items()}
    wanted = entries(*known.items(), ("swapped", "0" * 64), ("gone", ""))

    def refuse(*_args, **_options):
        raise AssertionError("an image is decoded in the parent")

    monkeypatch.setattr(Image, "open", refuse)
    monkeypatch.setattr("hambatch.pipelines.scoring.build_pipeline", refuse)
    leaks = LeakOptions(engine=str(tiny_engine), images=(tmp_path,))
    found = gallery_pictures(wanted, tmp_path / "preds.csv", leaks)
    monkeypatch.undo()
    sizes = {}
    for name in ("wide", "good"):
        with Image.open(BytesIO(base64.b64decode(found[name].jpeg))) as image:
            sizes[name] = (image.format, image.size)
    # In the shape of the file, not in that of the engine's input.
    assert sizes == {"wide": ("JPEG", (224, 112)), "good": ("JPEG", (224, 168))}
    assert found["cut"].why.startswith("not shown: ")
    assert found["swapped"].why == found["gone"].why == gallery.NOT_FOUND
    assert not any(found[name].jpeg for name in ("cut", "swapped", "gone"))


@pytest.mark.parametrize("broken", [EngineError("no such engine.\nNext: another"), None])
def test_what_cannot_be_found_or_decoded_at_all_is_said_and_is_no_error(
    tmp_path, monkeypatch, broken
):
    def fail(*_args):
        raise broken

    if broken:
        monkeypatch.setattr(gallery, "scored_by", fail)
    (tmp_path / "empty").mkdir()
    wanted, table = entries(("a", ""), ("b", "")), tmp_path / "preds.csv"
    table.write_text("image\n")
    found = gallery_pictures(
        wanted, table, LeakOptions(engine="none", images=(tmp_path / "empty",))
    )
    why = "not shown: no such engine." if broken else gallery.NOT_FOUND
    assert {image_id: one.why for image_id, one in found.items()} == {"a": why, "b": why}
