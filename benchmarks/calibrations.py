"""Does another calibration than one temperature bring the ECE of held-out images down?

    hambatch score FOLDER --out uncalibrated.csv --precision fp32 --no-calibration
    python benchmarks/calibrations.py uncalibrated.csv --data split.csv --out result.json

The table, or several, has the images of the parts gate, certify and test. Each calibration is
fitted by its likelihood on the parts named, and measured on the part test:

none                      probabilities as the network gives them
temperature, gate         what the default engine has: 323 images
temperature, gate+certify the same with 1,059 images
vector, gate+certify      a factor and a shift of each class's log probability (Guo et al., 2017)

ECE: 15 bins of equal width. Intervals are over lesions, as in `hambatch evaluate`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from result import parser_of, publish
from scipy.optimize import minimize

from hambatch.engines.classes import CLASSES
from hambatch.engines.probabilities import softmax
from hambatch.errors import InputError
from hambatch.evaluation.bootstrap import bootstrap_intervals
from hambatch.evaluation.measures import evaluate
from hambatch.ham10000.table import read_split
from hambatch.training.calibrate import fit_temperature, floored
from hambatch.training.dataset import labels_of

Values = NDArray[np.float64]
PARTS = ("gate", "certify", "test")
FIGURES = ("ece", "ece_equal_mass", "log_loss", "accuracy")


def main() -> None:
    """Fit, measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument(
        "tables", type=Path, nargs="+", help="CSV of hambatch score --no-calibration"
    )
    parser.add_argument("--data", type=Path, required=True, help="split table of hambatch prepare")
    chosen = parser.parse_args()
    rows = scored(chosen.tables, read_split(chosen.data))
    test = rows[rows["split"] == "test"]
    found = {name: measured(test, given) for name, given in calibrated(rows, test).items()}
    sizes = {part: int((rows["split"] == part).sum()) for part in PARTS}
    question = "does another calibration than one temperature bring the ECE down?"
    publish(chosen.out, {"question": question, "images": sizes, "calibrations": found}, found)


def scored(tables: list[Path], split: pd.DataFrame) -> pd.DataFrame:
    """Join scores and truth by the images' bytes; raises InputError if one has no score."""
    rows = split[split["split"].isin(PARTS)]
    scores = pd.concat(map(pd.read_csv, tables))[["sha256", *(f"p_{name}" for name in CLASSES)]]
    joined = rows.merge(scores.drop_duplicates("sha256"), on="sha256", how="left")
    missing = int(joined["p_nv"].isna().sum())
    if missing:
        raise InputError(
            f"the tables have no scores of {missing} images of gate, certify and test.\n"
            "Next: hambatch score all three parts with --no-calibration"
        )
    return joined


def calibrated(rows: pd.DataFrame, test: pd.DataFrame) -> dict[str, Values]:
    """Give the test images' probabilities by each calibration, float64 ``[n, 7]``."""
    logs, found = log_probabilities(test), {"none": probabilities(test)}
    for parts in (("gate",), ("gate", "certify")):
        fit = rows[rows["split"].isin(parts)]
        temperature = fit_temperature(probabilities(fit), labels_of(fit["dx"]))
        if temperature is None:
            raise InputError("no temperature fits.\nNext: give more images")
        found[f"temperature {temperature:.3f}, {'+'.join(parts)}"] = softmax(logs / temperature)
    factors, shifts = fit_vector(log_probabilities(fit), labels_of(fit["dx"]))
    found["vector, gate+certify"] = softmax(logs * factors + shifts)
    return found


def fit_vector(logs: Values, truth: NDArray[np.int64]) -> tuple[Values, Values]:
    """Find the factor and the shift of each class with the smallest negative log-likelihood."""

    def loss(given: Values) -> float:
        fitted = softmax(logs * given[:7] + given[7:])
        return float(-np.log(floored(fitted)[np.arange(truth.size), truth]).mean())

    found = minimize(loss, np.concatenate([np.ones(7), np.zeros(7)]), method="L-BFGS-B")
    return found.x[:7], found.x[7:]


def measured(test: pd.DataFrame, given: Values) -> dict[str, Any]:
    """Give the calibration errors and the log loss, with intervals over lesions."""
    truth, predicted = labels_of(test["dx"]), given.argmax(axis=1)
    figures = evaluate(truth, predicted, given)
    spans = bootstrap_intervals(truth, predicted, list(test["lesion_id"]), probabilities=given)
    return {name: {"value": figures[name], "interval": spans[name]} for name in FIGURES}


def probabilities(rows: pd.DataFrame) -> Values:
    """Give float64 ``[n, 7]``."""
    return rows[[f"p_{name}" for name in CLASSES]].to_numpy(np.float64)


def log_probabilities(rows: pd.DataFrame) -> Values:
    """Give float64 ``[n, 7]``, finite."""
    return np.log(floored(probabilities(rows)))


if __name__ == "__main__":
    main()
