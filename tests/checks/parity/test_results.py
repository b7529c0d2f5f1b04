"""What is printed and written says what was found, and why the rest was not."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

from hambatch.checks.options import ParityOptions
from hambatch.checks.parity.comparing import Tolerance, compare_rows
from hambatch.checks.parity.decoder_load import LoadEffect
from hambatch.checks.parity.results import (
    Parity,
    PathResult,
    Scorable,
    Taken,
    Varied,
    as_document,
    as_text,
)
from hambatch.engines.loading import load_engine
from hambatch.sources.entry import Entry
from hambatch.system.files import as_json
from tests.checks.parity.made_parity import failed, path, row
from tests.conftest import REPOSITORY

ROWS = (row("a.jpg"), row("b.jpg"))
SAME = (Varied("batches of 1, 1 stream"), Varied("backwards"))


def parity(folder: Path, *others: PathResult, load: LoadEffect | None = None) -> Parity:
    """Two images of three, by the reference and by others."""
    reference = PathResult(path(folder, "openvino", "fp32"), {"dali-cpu": 2}, {}, varied=SAME)
    taken = Taken((Entry("a.jpg"), Entry("b.jpg"), Entry("c.jpg")), 30)
    images = Scorable(ROWS, Counter({"empty file": 1}))
    results = (reference, *others)
    return Parity(load_engine(folder), ParityOptions(), taken, images, results, load)


def keras(folder: Path, moved: float) -> PathResult:
    compared = compare_rows(ROWS, [row("a.jpg", moved), row("b.jpg")])
    of_it = path(folder, "keras", "fp32")
    return PathResult(of_it, {}, {}, compared, Tolerance("here", 0.002), SAME)


def test_all_within_says_so_and_counts_what_was_left_out(tiny_engine: Path) -> None:
    document = as_document(parity(tiny_engine, keras(tiny_engine, 0.001)))
    assert (document["holds"], document["source"]["left_out"]) == (True, 1)
    text = as_text(document)
    assert "3 of 30 images, 1 of them left out\n  1 x empty file\n" in text
    assert "0.001000" in text
    assert text.splitlines()[-1].startswith("Verdict: 1 compared with dali-cpu+openvino-fp32, all")


def test_what_is_beyond_its_tolerance_is_in_the_verdict(tiny_engine: Path) -> None:
    found = parity(tiny_engine, keras(tiny_engine, 0.003))
    assert not found.holds
    assert as_text(as_document(found)).endswith("Verdict: dali-cpu+keras-fp32 beyond")


def test_rows_that_change_are_in_the_table_and_the_verdict(tiny_engine: Path) -> None:
    shaky = replace(keras(tiny_engine, 0), varied=(SAME[0], Varied("backwards", 3, 1e-6)))
    found = parity(tiny_engine, shaky)
    assert not found.holds
    text = as_text(as_document(found))
    assert "3 change, by 0.000001" in text
    assert "Verdict: rows of dali-cpu+keras-fp32 change" in text


def test_a_path_that_is_not_taken_has_its_reason_and_the_next_command(tiny_engine: Path) -> None:
    on_gpu = path(tiny_engine, "tensorrt", "fp32", "dali-gpu")
    without = replace(on_gpu, why_not="there is no plan.", next="hambatch build")
    found = parity(tiny_engine, PathResult(without, {}, {}))
    assert found.holds
    text = as_text(as_document(found))
    assert "tensorrt-fp32 not taken: there is no plan.\n  Next: hambatch build" in text
    assert "nothing to compare dali-cpu+openvino-fp32 with" in text


def test_a_path_that_failed_or_lost_an_image_is_a_fault(tiny_engine: Path) -> None:
    on_gpu = path(tiny_engine, "tensorrt", "fp32", "dali-gpu")
    broken = parity(tiny_engine, PathResult(on_gpu, {}, {}, problem="the GPU is gone."))
    assert not broken.holds
    assert "tensorrt-fp32 failed: the GPU is gone." in as_text(as_document(broken))
    lost = (SAME[0], Varied("backwards", problem="the GPU is gone."))
    text = as_text(as_document(parity(tiny_engine, replace(keras(tiny_engine, 0), varied=lost))))
    assert "dali-cpu+keras-fp32, backwards, failed: the GPU is gone." in text
    compared = compare_rows(ROWS, [row("a.jpg"), failed("b.jpg")])
    less = replace(keras(tiny_engine, 0), compared=compared)
    assert not parity(tiny_engine, less).holds
    assert "beyond, 1 failed" in as_text(as_document(parity(tiny_engine, less)))


def test_loads_of_the_decoder_are_reported(tiny_engine: Path) -> None:
    load = LoadEffect("dali-gpu+tensorrt-fp32", 0.004, 0.003, 10, 12, 2, 0, 22)
    document = as_document(parity(tiny_engine, load=load))
    assert "10 rows are as with 1, 12 as with 0" in as_text(document)
    assert json.loads(as_json(document))["decoder_load"]["moved_by_place"] == 22


def test_docs_name_every_field(tiny_engine: Path) -> None:
    docs = (REPOSITORY / "docs" / "parity.md").read_text()
    load = LoadEffect("a", 0.0, 0.0, 0, 0, 0, 0, 0)
    document = as_document(parity(tiny_engine, keras(tiny_engine, 0), load=load))
    last = document["paths"][-1]
    parts = [last, last["compared"], last["tolerance"], last["varied"][0]]
    for part in [document, document["source"], document["decoder_load"], *parts]:
        assert {key for key in part if f"`{key}`" not in docs} == set()
