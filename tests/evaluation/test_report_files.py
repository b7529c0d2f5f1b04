"""The page is whole, closed, escaped, and needs nothing from elsewhere."""

import base64
import re
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError
from hambatch.evaluation import report as text
from hambatch.evaluation.evaluate import compare
from hambatch.evaluation.gallery import Picture
from hambatch.evaluation.report_files import draw_plots, page, write_report

VOID = {"meta", "img", "br"}
NO_PLOTS = dict.fromkeys(
    ("confusion.png", "roc.png", "precision_recall.png", "thresholds.png", "decision.png"), b""
) | {"reliability.png": b""}
EVIL = "<script>alert(1)</script>&\"'"


class Page(HTMLParser):
    """Checks that tags close in their order; collects what they are and what they hold."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def tables(folder, sex=EVIL):
    rng = np.random.default_rng(0)
    truth = np.arange(70) % 7
    ids = [f"i{k}" for k in range(70)]
    for name in ("a.csv", "b<i>.csv"):
        p = rng.dirichlet(np.ones(7), 70) * 0.5 + 0.5 * np.eye(7)[truth] * rng.random((70, 1))
        p = (p / p.sum(axis=1, keepdims=True)).round(6).clip(0, 1)
        table = pd.DataFrame(p, columns=[f"p_{c}" for c in CLASSES])
        table["image"], table["status"] = [f"{i}.jpg" for i in ids], "ok"
        table["prediction"] = np.array(CLASSES)[p.argmax(axis=1)]
        table.to_csv(folder / name, index=False)
    labels = {"image_id": ids, "dx": np.array(CLASSES)[truth], "sex": sex, "age": "45"}
    pd.DataFrame(labels).to_csv(folder / "t.csv", index=False)
    return folder / "a.csv", folder / "t.csv", folder / "b<i>.csv"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    place = tmp_path_factory.mktemp("written")
    first, truth, second = tables(place)
    report = compare(first, truth, against=second)
    write_report(report, html=place / "page.html")
    page = Page()
    source = (place / "page.html").read_text(encoding="utf-8")
    page.feed(source)
    return source, page, report


def test_every_tag_is_closed_and_no_script_or_resource_is_needed(written):
    source, page, _ = written
    assert page.open == []
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    links = [value for name, value in page.attributes if name in ("src", "href")]
    assert len(links) == 6
    assert all(link.startswith("data:image/png;base64,") for link in links)
    assert not re.search(r"https?://|@import|url\(", source)
    assert ("name", "viewport") in page.attributes


def test_what_tables_say_is_shown_and_never_run(written):
    source, page, _ = written
    assert EVIL in page.text
    assert "<script" not in source
    assert "b<i>.csv" in page.text
    assert "<i>" not in source


def test_the_plots_are_those_of_the_report(written):
    source, _, report = written
    inside = re.findall(r"base64,([A-Za-z0-9+/=]+)", source)
    assert [base64.b64decode(one) for one in inside] == list(draw_plots(report).values())
    sizes = [Image.open(BytesIO(base64.b64decode(one))).size for one in inside]
    wide = (1350, 690)
    assert sizes == [(1050, 870), (900, 900), (900, 900), wide, wide, (900, 1050)]


def test_figures_stand_with_their_intervals_and_the_use_they_are_for(written):
    _, page, report = written
    assert "Research use only: not a medical device." in page.text
    low, high = report["intervals"]["balanced_accuracy"]
    assert f"{low:.3f} to {high:.3f}" in page.text
    for words in (
        "Subgroups",
        "45 to 59",
        "ISIC 2018",
        "McNemar",
        "leak check not done",
        "unknown: whether",
        "Limits",
    ):
        assert words in page.text


def test_operating_points_stand_with_their_intervals_and_no_promise(written):
    _, page, report = written
    assert text.NO_PROMISE in page.text
    point = report["operating_points"]["melanoma"][1]
    low, high = point["intervals"]["specificity"]
    assert f"{point['threshold']:.6f}" in page.text
    assert f"{low:.3f} to {high:.3f}" in page.text


def test_pictures_of_errors_lie_in_the_page_beside_what_is_known_of_them(written):
    _, _, report = written
    p = dict.fromkeys(CLASSES, 0.1)
    entry = {"truth": "mel", "prediction": "nv", "p_malignant": 0.3, "probabilities": p}
    kinds = {"missed_malignant": [EVIL, "<i>"], "false_alarms": ["c"], "wrong_labels": []}
    gallery = {kind: [entry | {"image_id": i} for i in ids] for kind, ids in kinds.items()}
    pictures = {EVIL: Picture(jpeg="/9j/2Q=="), "<i>": Picture(why=f"not shown: {EVIL}")}
    source, shown = page(report | {"gallery": gallery}, NO_PLOTS, pictures), Page()
    shown.feed(source)
    assert shown.open == []
    assert not {"script", "i"} & set(shown.tags)
    assert ("src", "data:image/jpeg;base64,/9j/2Q==") in shown.attributes
    about = "truth mel, predicted nv 0.100, p_malignant 0.300"
    assert ("alt", f"{EVIL}: {about}") in shown.attributes
    assert shown.text.count(about) == 3
    assert f"not shown: {EVIL}" in shown.text


def test_a_sample_of_one_image_has_a_page_and_pictures_too(tmp_path):
    first, truth, _ = tables(tmp_path)
    for path in (first, truth):
        path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")
    report = compare(first, truth)
    written = write_report(report, tmp_path / "out", tmp_path / "page.html")
    assert [path.name for path in written] == [
        *("confusion.png", "roc.png", "precision_recall.png", "thresholds.png", "decision.png"),
        *("reliability.png", "evaluation.json", "page.html"),
    ]
    assert report["roc_auc_malignant"] is report["intervals"]["roc_auc_malignant"] is None


def test_a_page_in_no_folder_is_refused(tmp_path, written):
    _, _, report = written
    with pytest.raises(InputError, match="cannot write"):
        write_report(report, html=tmp_path / "absent" / "page.html")


def test_nothing_is_written_where_nothing_is_asked_for(tmp_path):
    assert write_report({}) == []
