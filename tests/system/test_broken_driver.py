"""What `doctor` says of a machine with a broken driver is what `score` then does there."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.checks.doctor.installed import environment_of, of_the_base
from tests.conftest import jpeg_bytes
from tests.waiting import HANGS_S


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an installation that can score; without what only tables and plots need."""

    def kept(name: str) -> bool:
        return of_the_base(name) and not name.startswith(("pandas", "scipy", "jinja2"))

    return environment_of(tmp_path_factory.mktemp("environment") / "base", kept)


@pytest.mark.parametrize(
    ("fault", "code", "dali", "what_next"),
    [
        # DALI starts the driver even for work on the CPU.
        ({"STUB_CRASH": "1"}, 1, "broken", "nvidia-smi"),
        ({"STUB_INIT": "999"}, 0, "usable", ""),
    ],
)
def test_the_verdict_is_that_of_a_run(
    driver_stub: str,
    python: Path,
    tiny_engine: Path,
    tmp_path: Path,
    fault: dict[str, str],
    code: int,
    dali: str,
    what_next: str,
) -> None:
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment = {**inherited, **fault, "LD_LIBRARY_PATH": str(Path(driver_stub).parent)}

    def hambatch(*arguments: object) -> subprocess.CompletedProcess[str]:
        line = [python, "-m", "hambatch", *map(str, arguments)]
        return subprocess.run(
            line, capture_output=True, text=True, env=environment, check=False, timeout=HANGS_S
        )

    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "one.jpg").write_bytes(jpeg_bytes(1))
    said = hambatch("doctor", "--json")
    findings = {finding["part"]: finding for finding in json.loads(said.stdout)["findings"]}
    assert findings["driver"]["state"] == "broken"
    assert (findings["nvidia.dali"]["state"], findings["nvidia.dali"]["next"]) == (dali, what_next)
    out = ("--out", tmp_path / "preds.csv", "--engine", tiny_engine)
    done = hambatch("score", tmp_path / "images", *out)
    assert (said.returncode, done.returncode) == (code, code)
