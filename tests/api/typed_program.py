"""A program that uses the public API: mypy checks it in its strict mode, nothing runs it."""

from pathlib import Path

import numpy as np
from PIL import Image

import hambatch


def main() -> None:
    """Use each public name as the page says."""
    pixels = np.zeros((450, 600, 3), np.uint8)
    with hambatch.Scorer("three-sources-resnet50", precision="fp32", max_megapixels=200) as scorer:
        for row in scorer.score("images", Path("old.zip")):
            print(row.image, row.p_malignant if row.status == "ok" else row.reason)
        rows = scorer.score([b"bytes", ("name", pixels), Path("a.jpg"), Image.new("RGB", (9, 9))])
        first: hambatch.Row = next(rows)
        rows.close()
        print(first.carried.get("patient_id"), max(first.probabilities.values(), default=0.0))
        print(scorer.table(path for path in Path("images").iterdir())["p_mel"].mean())
    outcome = hambatch.score(["images"], out="preds.csv", update=True, fail_over=5.0)
    print(hambatch.read_table(outcome.table).shape, outcome.complete, outcome.reasons)


def wrong(scorer: hambatch.Scorer) -> None:
    """Do what has to be an error: mypy complains about a comment that nothing needs."""
    scorer.score(7)  # type: ignore[call-overload]
    hambatch.Scorer(precison="fp32")  # type: ignore[call-arg]
    print(hambatch.Scorrer)  # type: ignore[attr-defined]
    row = next(scorer.score("images"))
    print(row.p_mel > 0.5)  # type: ignore[operator]
