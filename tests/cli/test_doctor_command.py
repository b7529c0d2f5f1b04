"""`hambatch doctor` in installations that lack parts: it says which, and never fails itself."""

import json
import os
import subprocess
from pathlib import Path

from tests.checks.doctor.installed import environment_of, install, of_the_base
from tests.waiting import HANGS_S


def doctor(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [python, "-m", "hambatch", "doctor", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_S,
        env=environment,
        cwd=python.parent,
    )


def test_the_base_installation_can_score_and_names_its_extras(tmp_path: Path) -> None:
    done = doctor(environment_of(tmp_path / "base", of_the_base), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    read = json.loads(done.stdout)
    assert read["can_score"] is True
    states = {finding["name"]: finding["state"] for finding in read["findings"]}
    for name in ("numpy", "pandas", "openvino", "nvidia-dali-cuda120", "three-sources-resnet50"):
        assert states[name] == "usable"
    lines = {finding["part"]: finding["next"] for finding in read["findings"]}
    assert lines["tensorflow"] == lines["tf2onnx"] == "pip install 'hambatch[train]'"
    assert lines["pyarrow.parquet"] == "pip install 'hambatch[parquet]'"
    assert lines["matplotlib.figure"] == "pip install 'hambatch[plot]'"
    assert lines["pydicom"] == lines["highdicom"] == "pip install 'hambatch[dicom]'"
    assert lines["pillow_heif"] == "pip install 'hambatch[heif]'"
    ed25519 = "cryptography.hazmat.primitives.asymmetric.ed25519"
    assert lines[ed25519] == "pip install 'hambatch[sign]'"


def test_without_its_packages_it_still_says_what_is_missing(tmp_path: Path) -> None:
    kept = ("click", "tqdm")
    done = doctor(environment_of(tmp_path / "bare", lambda name: name.startswith(kept)))
    assert (done.returncode, done.stderr) == (1, "")
    text = " ".join(done.stdout.split())
    for name in ("numpy", "pillow", "openvino", "nvidia-dali-cuda120", "pycuda"):
        assert f"{name} missing not installed Next: pip install {name}" in text
    assert "keras missing not installed Next: pip install 'hambatch[train]'" in text
    assert "scoring no numpy is missing, pillow is missing, openvino is missing" in text


def test_an_openvino_that_dies_is_named_and_nothing_can_be_scored(tmp_path: Path) -> None:
    # Of OpenVINO what pip knows of it, and no package.
    kept = ("click", "tqdm", "numpy", "pillow", "PIL", "msgspec", "openvino-")
    python = environment_of(tmp_path / "broken", lambda name: name.startswith(kept))
    packages = next((tmp_path / "broken" / "lib").glob("python3*")) / "site-packages"
    install(packages, "openvino", "import os; os.kill(os.getpid(), 4)")
    done = doctor(python)
    assert (done.returncode, done.stderr) == (1, "")
    text = " ".join(done.stdout.split())
    assert "died of signal 4 (Illegal instruction)" in text
    assert "Next: pip install --force-reinstall openvino==" in text
    assert "scoring no openvino is broken" in text
