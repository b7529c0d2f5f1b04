"""Images of several folders that share a file name, and truths that name them by path."""

import pytest

from hambatch.errors import InputError
from hambatch.evaluation.evaluate import compare
from hambatch.evaluation.options import LeakOptions
from tests.evaluation.tables import digest, predictions, truth
from tests.evaluation.test_evaluate import TRUTH, write_predictions, write_truth

DX = ["nv", "mel", "bcc", "nv", "mel", "nv"]
PATHS = [f"P{patient}/{image}.jpg" for patient in (1, 2, 3) for image in (1, 2)]
PREDICTED = dict(zip(PATHS, ["nv", "nv", "bcc", "nv", "mel", "mel"], strict=True))


def _report(tmp_path, ids, images=PREDICTED):
    path = write_predictions(tmp_path / "p.csv", images)
    rows = [f"{one},{dx}" for one, dx in zip(ids, DX, strict=True)]
    return compare(path, write_truth(tmp_path / "t.csv", rows))


@pytest.mark.parametrize(
    "form", ["{}", "C:\\x\\{}", "export/{}", "./{}"], ids=["path", "windows", "longer", "dot"]
)
def test_a_folder_per_patient_gives_the_figures_of_unique_names(tmp_path, form):
    unique = {path.replace("/", "_"): dx for path, dx in PREDICTED.items()}
    wanted = _report(tmp_path, [name.removesuffix(".jpg") for name in unique], unique)
    ids = [form.format(path) for path in PATHS]
    if "\\" in form:
        ids = [one.replace("/", "\\") for one in ids]
    found = _report(tmp_path, ids)
    assert found["counts"] == wanted["counts"]
    differing = {name for name in found if found[name] != wanted[name]}
    assert differing == {"predictions", "truth"}


def test_a_shorter_path_of_the_truth_is_enough_where_it_means_one_image(tmp_path):
    report = _report(tmp_path, PATHS, {f"site/{path}": dx for path, dx in PREDICTED.items()})
    assert report["counts"]["scored"] == 6


def test_an_image_whose_path_several_ids_may_mean_gets_none(tmp_path):
    path = write_predictions(tmp_path / "p.csv", {"1.jpg": "nv", "P1/2.jpg": "mel"})
    rows = ["P1/1.jpg,nv", "P2/1.jpg,mel", "P1/2.jpg,mel", "P2/2.jpg,nv"]
    counts = compare(path, write_truth(tmp_path / "t.csv", rows))["counts"]
    assert counts["missing_named"] == ["P1/1.jpg", "P2/1.jpg", "P2/2.jpg"]


@pytest.mark.parametrize("one", ["1", "1.jpg", "x/P1/1.jpg"])
def test_an_id_that_several_images_share_is_refused_with_both_paths(tmp_path, one):
    images = {"y/x/P1/1.jpg": "nv", "P1/1.jpg": "mel"}
    path = write_predictions(tmp_path / "p.csv", images)
    with pytest.raises(InputError, match=r"share: .* is y/x/P1/1.jpg, P1/1.jpg; wanted"):
        compare(path, write_truth(tmp_path / "t.csv", [f"{one},nv"]))


def test_a_trained_image_leaks_whatever_its_folder(tmp_path, data):
    hashes = [digest(0), *map(digest, range(50, 54))]
    table = predictions(tmp_path / "p.csv", ["P1/x", "P2/x", "P1/i1", "P2/i1", "P3/y"], hashes)
    paths = ["P1/x.jpg", "P2/x.jpg", "P1/i1.jpg", "P2/i1.jpg", "P3/y.jpg"]
    labels = truth(tmp_path / "t.csv", paths, ["a", "b", "c", "d", "e"])
    leaks = LeakOptions(data=data)
    with pytest.raises(InputError, match=r"2 with the same image .*; 1 with the same bytes"):
        compare(table, labels, leaks=leaks)
    report = compare(table, labels, leaks=LeakOptions(data=data, exclude_trained=True))
    assert (report["n"], report["leak_check"]["excluded"]) == (2, 3)


def test_two_tables_meet_by_the_ids_of_the_truth(tmp_path):
    first = write_predictions(tmp_path / "p.csv", {"P1/1.jpg": "nv", "P2/1.jpg": "nv"})
    second = write_predictions(tmp_path / "q.csv", {"P1/1.jpg": "mel"})
    labels = write_truth(tmp_path / "t.csv", ["P1/1.jpg,nv,L1", "P3/2.jpg,mel,L2"], TRUTH)
    against = compare(first, labels, against=second)["against"]
    assert (against["n"], against["only_first"]) == (1, 0)
