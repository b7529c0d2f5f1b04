"""Other values in `engine.json` than hambatch would write, under a checksum that fits."""

import json
from pathlib import Path
from typing import Any

from hambatch.system.files import with_checksum


def rewrite(path: Path, values: dict[str, Any]) -> None:
    """Write ``values`` as if they had been written so from the beginning."""
    path.write_text(json.dumps(with_checksum(values)))
