"""Make a split table of another source than HAM10000: to leave a source, or images of it, out.

    python benchmarks/other_source.py metadata.csv isic2017.csv --set "ISIC 2017" --test-images 600

The table has the columns path, image_id, dx, and maybe lesion_id and set, as `hambatch train
--extra` takes it. `--test-images` are drawn by lesion; images that look alike are of one lesion.
The others are divided by `--val-fraction`.

The result is a split table with its record. It is for `hambatch train --data`, with other sources
as `--extra`; for `--extra`: its rows `train` are trained on, and no image that looks like one of
the others; and for `hambatch evaluate --truth OUT --split test`.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd

from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError
from hambatch.ham10000.near_duplicates import compare_images
from hambatch.ham10000.split import group_lesions, join_groups
from hambatch.ham10000.table import COLUMNS, record_path
from hambatch.system.files import sha256_of_file, write_json, write_text
from hambatch.system.text import canonical_id
from hambatch.system.text_table import read_csv

NEXT = "name a table with the columns path, image_id and dx"


@click.command()
@click.argument("table", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--set", "part", default="", help="Only rows of this set.")
@click.option("--test-images", default=600, help="At least as many are held out.")
@click.option("--val-fraction", default=0.15, help="Of the lesions of the others.")
@click.option("--seed", default=0)
def main(
    table: Path, out: Path, part: str, test_images: int, val_fraction: float, seed: int
) -> None:
    """Write the split table and its record."""
    rows = read_rows(table, part)
    rows["split"] = parts_of(rows, table.parent, test_images, val_fraction, seed)
    counts = rows.groupby(["split", "dx"]).size().unstack(fill_value=0)
    record = {"root": str(table.parent.resolve()), "seed": seed, "val_fraction": val_fraction}
    write_json(record_path(out), record)
    write_text(out, rows[list(COLUMNS)].to_csv(index=False, lineterminator="\n"))
    click.echo(counts.to_string())


def read_rows(path: Path, part: str) -> pd.DataFrame:
    """Read the rows of a set whose class is one of the seven; identical bytes once."""
    found = read_csv(path, NEXT, ("path", "image_id", "dx", "lesion_id", "set"))
    found.check_columns(["path", "image_id", "dx"])
    rows = found.rows[found.rows["dx"].isin(CLASSES)]
    if part:
        rows = rows[rows["set"] == part]
    rows = pd.DataFrame(
        dict.fromkeys(COLUMNS, "")
        | {"dx": rows["dx"], "file": rows["path"]}
        | {name: rows[name] for name in ("image_id", "lesion_id") if name in rows}
    )
    rows["image_id"] = rows["image_id"].map(canonical_id)
    rows["lesion_id"] = rows["lesion_id"].where(rows["lesion_id"] != "", rows["image_id"])
    rows["sha256"] = [sha256_of_file(path.parent / name) for name in rows["file"]]
    several = rows.groupby("sha256")["dx"].transform("nunique") > 1
    return rows[~several].drop_duplicates("sha256").reset_index(drop=True)


def parts_of(
    rows: pd.DataFrame, root: Path, test_images: int, val_fraction: float, seed: int
) -> list[str]:
    """Draw whole lesions until the test part has its images; then a share of the others for val."""
    groups = group_lesions(list(rows["lesion_id"]), list(rows["sha256"]))
    rows = rows.assign(group=groups)
    pairs, _ = compare_images(rows, root, "group")
    links = [(groups[low], groups[high]) for low, high in pairs.tolist()]
    groups = join_groups(groups, links)
    names, sizes = np.unique(groups, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.cumsum(sizes[order]) - sizes[order]
    in_test = before < test_images
    if in_test.all():
        raise InputError(
            f"found {len(rows)} images, wanted more than {test_images}.\nNext: fewer --test-images"
        )
    left = order[~in_test]
    in_val = set(names[left[: round(val_fraction * len(left))]])
    tested = set(names[order[in_test]])
    return ["test" if g in tested else "val" if g in in_val else "train" for g in groups]


if __name__ == "__main__":
    main()
