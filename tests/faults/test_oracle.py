"""The oracle notices what it is there for: a lost, a doubled, a swapped row."""

from hashlib import sha256

import numpy as np
import pytest

from hambatch.engines.classes import CLASSES
from tests.faults.oracle import Row, Verdict, changed, check_content, check_rows
from tests.faults.soft_engine import Values

FILES = {"a.jpg": b"first", "b.jpg": b"second", "c.jpg": b"third"}
OPINIONS: dict[str, Values] = {
    name: np.roll(np.array([0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05]), k)
    for k, name in enumerate(FILES)
}
FAMILIES = {name: frozenset({k}) for k, name in enumerate(FILES)}


@pytest.fixture
def rows() -> dict[str, Row]:
    return {
        name: {
            "image": name,
            "status": "ok",
            "sha256": sha256(content).hexdigest(),
            **{f"p_{c}": f"{p:.6f}" for c, p in zip(CLASSES, OPINIONS[name], strict=True)},
        }
        for name, content in FILES.items()
    }


def judged(rows: dict[str, Row]) -> Verdict:
    verdict = check_rows(FILES, list(rows.values()))
    check_content(verdict, rows, OPINIONS, FAMILIES)
    return verdict


def test_a_right_table_is_clean_and_every_image_recognised(rows: dict[str, Row]) -> None:
    verdict = judged(rows)
    assert verdict.clean
    assert verdict.identified == list(FILES)


def test_a_missing_a_doubled_and_a_strange_row_are_noticed(rows: dict[str, Row]) -> None:
    table = [rows["a.jpg"], rows["a.jpg"], rows["b.jpg"], rows["b.jpg"] | {"image": "d.jpg"}]
    verdict = check_rows(FILES, table)
    assert verdict.lost == ["c.jpg"]
    assert verdict.duplicated == ["a.jpg"]
    assert verdict.misattributed == ["d.jpg"]


def test_rows_that_change_names_are_noticed_by_their_hashes(rows: dict[str, Row]) -> None:
    swapped = rows | {"a.jpg": rows["b.jpg"] | {"image": "a.jpg"}}
    assert "a.jpg" in judged(swapped).misattributed
    assert check_rows(FILES, list(reversed(rows.values()))).disordered


def test_probabilities_that_change_places_are_noticed_by_their_content(
    rows: dict[str, Row],
) -> None:
    shares = {column: value for column, value in rows["b.jpg"].items() if column.startswith("p_")}
    swapped = rows | {"a.jpg": rows["a.jpg"] | shares}
    assert check_rows(FILES, list(swapped.values())).clean
    assert judged(swapped).misattributed == ["a.jpg"]
    assert changed(swapped, rows) == ["a.jpg"]


def test_a_file_that_decoders_take_differently_is_not_misattributed(rows: dict[str, Row]) -> None:
    alone = rows["a.jpg"] | {f"p_{c}": f"{1 / 7:.6f}" for c in CLASSES}
    verdict = judged(rows | {"a.jpg": alone})
    assert verdict.decoders_differ == ["a.jpg"]
    assert verdict.clean
