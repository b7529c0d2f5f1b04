"""Does a certificate hold on other images than those it was made with?

    hambatch score IMAGES --out test.csv --precision int8
    python benchmarks/realised_sensitivity.py test.csv --truth split.csv --split test --out x.json

Of a table with its run record: what each rule in force does to the lesions of the truth, as
`hambatch certify` measures it, with exact 95 % intervals; and what the column `risk` does: how many
rows are refer, review and routine, and how many lesions of the target have an image that is
routine.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from result import parser_of, publish

from hambatch.engines.referral import millionths
from hambatch.errors import InputError
from hambatch.evaluation.join import join_scored
from hambatch.evaluation.tables import read_predictions
from hambatch.evaluation.truth import read_truth
from hambatch.scoring.record import read_record, rules_in
from hambatch.sinks.publish import record_path
from hambatch.triage.figures import exact_estimate, figures_at
from hambatch.triage.lesions import lesions_of


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("--truth", type=Path, required=True)
    parser.add_argument("--split")
    chosen = parser.parse_args()
    record = read_record(record_path(chosen.table))
    found = [
        {
            "scored_by": name,
            **asdict(rule),
            **measured(chosen.table, chosen.truth, chosen.split, rule),
        }
        for name, rules in rules_in(record).items()
        for rule in rules
        if name in record["counts"]["backends"]
    ]
    if not found:
        raise InputError(f"{chosen.table}: no certificate was in force.\nNext: hambatch certify")
    question = "does a certificate hold on other images?"
    publish(chosen.out, {"question": question, "split": chosen.split, "rules": found}, {"": found})


def measured(table: Path, truth: Path, split: str | None, rule: Any) -> dict[str, Any]:
    """Measure one rule on the scored images of the truth."""
    joined = join_scored(read_truth(truth, split), read_predictions(table), table)
    lesions = lesions_of(joined, rule.target)
    at = figures_at(millionths(rule.threshold), lesions, 0.95)
    risks = pd.read_csv(table, keep_default_na=False).set_index("sha256")["risk"]
    risk = joined.images["sha256"].map(risks[~risks.index.duplicated()]).to_numpy(str)
    routine = np.zeros(lesions.positive.size, bool)
    np.logical_or.at(routine, lesions.codes, risk == "routine")
    left = int((routine & lesions.positive).sum())
    count = int(lesions.positive.sum())
    return {
        "found": asdict(at),
        "rows": pd.Series(risk).value_counts().to_dict(),
        "lesions_with_a_routine_image": left,
        "seen_by_a_person": asdict(exact_estimate(count - left, count)),
    }


if __name__ == "__main__":
    main()
