"""Tables of predictions and truth, a split table, and the record of a run."""

import json

import pandas as pd

from hambatch.engines.classes import CLASSES
from hambatch.ham10000.table import COLUMNS
from hambatch.system.files import sha256_of_bytes, sha256_of_file


def digest(k):
    return sha256_of_bytes(str(k).encode())


def split_table(path):
    """Nine images of six lesions, three a side."""
    rows = [
        dict.fromkeys(COLUMNS, "")
        | {"image_id": f"i{k}", "lesion_id": f"L{k // 2}", "dx": CLASSES[k % 7]}
        | {"file": f"i{k}.jpg", "sha256": digest(k)}
        | {"split": ("train", "val", "test")[min(k // 4, 2)]}
        for k in range(12)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def predictions(path, images, hashes=None):
    header = ["image", "status", "prediction", *(f"p_{name}" for name in CLASSES), "sha256"]
    hashes = hashes or [digest(100 + k) for k in range(len(images))]
    rows = [[f"{i}.jpg", "ok", "nv", *["0.1"] * 7, h] for i, h in zip(images, hashes, strict=True)]
    pd.DataFrame(rows, columns=header).to_csv(path, index=False)
    return path


def truth(path, images, lesions):
    rows = {"image_id": images, "lesion_id": lesions, "dx": ["nv"] * len(images)}
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def record(table, engine):
    """Leave the record of a run by that engine beside a table."""
    used = {"name": "x", "engine_json_sha256": sha256_of_file(engine / "engine.json")}
    listing = {"sha256": digest(0)}
    known = {
        "state": "finished",
        "output": {"file": table.name, "sha256": sha256_of_file(table)},
        "fingerprint": {
            "listing": listing,
            "engine": used,
            "backend": {"name": "openvino", "precision": "fp32"},
        },
        "engine": used,
        "not_scored": {
            "others": {"count": 0, "names": []},
            "unreadable": {},
            "links_left": {"count": 0, "names": []},
        },
        "options": {"engine": str(engine), "backend": "openvino", "precision": "fp32"},
    }
    for name in ("salvage_truncated", "follow_symlinks"):
        known["options"][name] = False
    for name in ("max_megabytes", "max_megapixels", "decode_seconds", "readers", "prefetch"):
        known["options"][name] = 2
    table.with_name(table.name + ".run.json").write_text(json.dumps(known))
    return table
