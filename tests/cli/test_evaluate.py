import json

from click.testing import CliRunner

from hambatch.cli import hambatch
from hambatch.cli.parameters import LabelAndClass
from hambatch.engines.classes import CLASSES, ISIC_COLUMNS
from hambatch.errors import ExitCode, InputError

ONE_HOT = {name: ",".join("1" if name == c else "0" for c in CLASSES) for name in CLASSES}


def write_inputs(folder):
    """Twelve test images, one of them wrong; a train image and a failed one beside."""
    header = ",".join(["image", "status", "prediction", *(f"p_{c}" for c in CLASSES), "reason"])
    predicted = {f"i{k:02d}": "nv" if k < 7 else "mel" for k in range(12)}
    rows = [f"images/{name}.jpg,ok,{dx},{ONE_HOT[dx]}," for name, dx in predicted.items()]
    rows += ["images/broken.jpg,failed,,,,,,,,,no image", f"other.jpg,ok,df,{ONE_HOT['df']},"]
    (folder / "preds.csv").write_text("\n".join([header, *rows]) + "\n")
    truth = [f"i{k:02d},L{k // 2},{'nv' if k < 6 else 'mel'},test" for k in range(12)]
    truth += ["broken,L9,mel,train", "other,L10,nv,train"]
    (folder / "split.csv").write_text("\n".join(["image_id,lesion_id,dx,split", *truth]) + "\n")
    return folder / "preds.csv", folder / "split.csv"


def invoke(predictions, truth, *options):
    return CliRunner().invoke(
        hambatch, ["evaluate", str(predictions), "--truth", str(truth), *map(str, options)]
    )


def test_it_prints_figures_with_intervals_and_a_line_a_class(tmp_path):
    result = invoke(*write_inputs(tmp_path), "--split", "test")
    assert result.exit_code == ExitCode.OK, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert result.stdout.startswith("WARNING: leak check not done: preds.csv has no record")
    assert lines[2] == "12 of 12 images scored".split()
    accuracy = next(line for line in lines if line[:1] == ["accuracy"])
    assert accuracy[1] == "0.917"
    assert float(accuracy[2]) < 0.917 <= float(accuracy[4])
    assert [line[0] for line in lines if line and line[0] in CLASSES] == list(CLASSES)
    mel = next(line for line in lines if line[:1] == ["mel"])
    assert mel[1:5] == ["6", "0.833", "1.000", "1.000"]
    # Of six melanomas one has p_mel 0: five are too few for 0.90.
    assert "sensitivity 0.80 1.000000 1.000 0.417 1.000000 1.000 0.417".split() in lines
    assert "sensitivity 0.90 0.000000 0.000 1.000 0.000000 0.000 1.000".split() in lines
    assert "no promise for others" in result.stdout


def test_without_split_the_failed_image_is_announced(tmp_path):
    result = invoke(*write_inputs(tmp_path))
    assert result.exit_code == ExitCode.OK
    assert result.stdout.splitlines()[2].startswith("WARNING: only 13 of 14 images scored")
    assert "1 failed: broken" in result.stdout


def test_out_writes_what_json_prints(tmp_path):
    out = tmp_path / "made" / "here"
    result = invoke(*write_inputs(tmp_path), "--split", "test", "--json", "--out", out)
    assert result.exit_code == ExitCode.OK, result.output
    printed = json.loads(result.stdout)
    assert printed == json.loads((out / "evaluation.json").read_text())
    assert printed["truth"]["split"] == "test"
    assert printed["gallery"] is None
    assert printed["class_order"] == list(CLASSES)
    assert sorted(p.name for p in out.iterdir()) == [
        "confusion.png",
        "decision.png",
        "evaluation.json",
        "precision_recall.png",
        "reliability.png",
        "roc.png",
        "thresholds.png",
    ]
    assert "Wrote" in result.stderr


def test_two_tables_are_compared_pair_by_pair(tmp_path):
    predictions, truth = write_inputs(tmp_path)
    other = tmp_path / "other.csv"
    # One more image right than in the first table, and one row less.
    other.write_text(predictions.read_text().replace("i06.jpg,ok,nv", "i06.jpg,ok,mel"))
    rows = [line for line in other.read_text().splitlines() if "i00" not in line]
    other.write_text("\n".join(rows) + "\n")
    result = invoke(predictions, truth, "--split", "test", "--against", other)
    assert result.exit_code == ExitCode.OK, result.output
    assert "preds.csv (first) against other.csv (second), 11 images that both" in result.stdout
    assert "scored by the first only: 1" in result.stdout
    assert "only the first right 0, only the second right 1, p = 1" in result.stdout
    line = result.stdout.rpartition("accuracy  ")[0].rpartition("accuracy  ")[2].split()
    assert line[:3] == ["0.909", "1.000", "-0.091"]


def test_a_page_of_everything_is_written_beside_and_renamed(tmp_path):
    predictions, truth = write_inputs(tmp_path)
    page = tmp_path / "report.html"
    result = invoke(predictions, truth, "--against", predictions, "--html", page)
    assert result.exit_code == ExitCode.OK, result.output
    assert page.read_text().startswith("<!doctype html>")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["preds.csv", "report.html", "split.csv"]
    assert f"Wrote {page}" in result.stderr


def test_a_gallery_is_on_a_page_and_names_what_it_cannot_show(tmp_path):
    predictions, truth = write_inputs(tmp_path)
    assert invoke(predictions, truth, "--gallery", "3").exit_code == 2
    page = tmp_path / "page.html"
    words = ("--split", "test", "--html", page, "--json", "--gallery", "3")
    result = invoke(predictions, truth, *words)
    assert result.exit_code == ExitCode.OK, result.output
    found = json.loads(result.stdout)["gallery"]
    assert [entry["image_id"] for entry in found["missed_malignant"]] == ["i06"]
    assert page.read_text().count("not shown: not found") == 1


def test_images_that_were_trained_on_stop_it(tmp_path):
    predictions, truth = write_inputs(tmp_path)
    header = "image_id,lesion_id,dx,dx_type,age,sex,localization,file,sha256,split"
    data = tmp_path / "trained.csv"
    data.write_text(f"{header}\nelsewhere,L0,nv,,,,,e.jpg,{'0' * 64},train\n")
    result = invoke(predictions, truth, "--split", "test", "--data", data, "--out", tmp_path / "o")
    assert isinstance(result.exception, InputError)
    assert "2 of 12 evaluated images leak" in str(result.exception)
    assert not (tmp_path / "o").exists()


def test_an_isic_pair_is_compared(tmp_path):
    header = ",".join(["image", *ISIC_COLUMNS])
    (tmp_path / "truth.csv").write_text(f"{header}\na,1,0,0,0,0,0,0\nb,0,1,0,0,0,0,0\n")
    (tmp_path / "submission.csv").write_text(f"{header}\na,0.9,0.1,0,0,0,0,0\nb,0.8,0.2,0,0,0,0,0")
    result = invoke(tmp_path / "submission.csv", tmp_path / "truth.csv", "--json")
    assert json.loads(result.stdout)["accuracy"] == 0.5


def test_a_clinics_own_labels_are_mapped_by_options(tmp_path):
    predictions, _ = write_inputs(tmp_path)
    clinic = tmp_path / "clinic.csv"
    clinic.write_text("Datei;Diagnose\ni00.JPG;Naevus\ni11.JPG;melanoma\ni01.JPG;scc\ni02.JPG;\n")
    columns = ("--id-column", "datei", "--label-column", "diagnose", "--map", "melanoma=mel")
    result = invoke(predictions, clinic, *columns, "--map", "naevus=NV")
    assert "add --map scc=CLASS" in str(result.exception)
    excluded = ("--exclude-other-classes", "--exclude-unlabelled", "--json")
    report = json.loads(
        invoke(predictions, clinic, *columns, "--map", "naevus=NV", *excluded).stdout
    )
    assert (report["n"], report["accuracy"]) == (2, 1)
    assert (report["counts"]["other_classes"], report["counts"]["unlabelled"]) == ({"scc": 1}, 1)
    from_variable = LabelAndClass().split_envvar_value("Spitz nevus=nv;T1a, melanoma=mel")
    assert from_variable == ["Spitz nevus=nv", "T1a, melanoma=mel"]
    result = invoke(predictions, clinic, *columns, "--map", "naevus=nevus")
    assert result.exit_code == 2
    assert "'naevus=nevus' is not LABEL=CLASS" in result.output


def test_a_missing_file_and_a_blocked_folder_are_input_errors(tmp_path):
    predictions, truth = write_inputs(tmp_path)
    for options in ((predictions, tmp_path / "no.csv"), (predictions, truth, "--out", truth)):
        result = invoke(*options)
        assert isinstance(result.exception, InputError)
        assert "Next: " in str(result.exception)
