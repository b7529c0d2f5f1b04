"""hambatch takes over no setting of another program, and sends nothing to another machine."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from tests.conftest import jpeg_bytes

OFF_IN_CI = ("CI", "TF_BUILD", "JENKINS_URL")
"""Where one of these is set, OpenVINO reports nothing, whatever hambatch does."""

COUNT = '"$@"; code=$?; cat /proc/self/net/snmp >"$COUNTS"; exit $code'

IN_A_NOTEBOOK = "module://matplotlib_inline.backend_inline"


@dataclass(frozen=True)
class Ended:
    """A command that ran without a network."""

    code: int
    text: str
    home: Path
    attempts: int
    """Packets and connections for which there was no way out, of all its processes."""


def without_network(folder: Path, *command: str, consent: str = "", **variables: str) -> Ended:
    """Run a command in a network namespace of its own, which has no way out, and a new home."""
    allowed = subprocess.run(["unshare", "-rn", "true"], capture_output=True, text=True)
    if allowed.returncode:
        pytest.skip(f"needs network namespaces: {allowed.stderr.strip()}")
    home, counts = folder / "home", folder / "counts"
    home.mkdir()
    if consent:
        (home / "intel").mkdir()
        (home / "intel" / "openvino_telemetry").write_text(consent)
    environment = {
        **{name: value for name, value in os.environ.items() if name not in OFF_IN_CI},
        **{"HOME": str(home), "COUNTS": str(counts), **variables},
    }
    done = subprocess.run(
        ["unshare", "-rn", "sh", "-c", COUNT, "sh", sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    names, values = (
        line.split() for line in counts.read_text().splitlines() if line.startswith("Ip:")
    )
    attempts = int(values[names.index("OutNoRoutes")])
    return Ended(done.returncode, done.stdout, home, attempts)


def hambatch(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hambatch", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for seed in range(4):
        (folder / f"image_{seed}.jpg").write_bytes(jpeg_bytes(seed))
    return folder


@pytest.fixture(scope="module")
def doctor(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Examine the machine: that imports every library, each in a process of its own."""
    folder = tmp_path_factory.mktemp("doctor")
    return without_network(folder, "-m", "hambatch", "doctor", KERAS_BACKEND="jax")


def test_an_attempt_to_look_up_a_host_is_counted(tmp_path: Path) -> None:
    code = "import socket; socket.getaddrinfo('example.org', 443)"
    done = without_network(tmp_path, "-c", code)
    assert "Temporary failure in name resolution" in done.text
    assert done.attempts > 0


def test_an_examination_reaches_for_no_other_machine(doctor: Ended) -> None:
    assert (doctor.code, doctor.attempts) == (0, 0), doctor.text
    assert "openvino usable" in " ".join(doctor.text.split())
    assert not (doctor.home / "intel").exists()


def test_an_examination_imports_keras_with_the_backend_that_hambatch_uses(doctor: Ended) -> None:
    text = " ".join(doctor.text.split())
    assert "keras usable" in text or "keras missing" in text


def test_even_with_consent_for_other_programs_nothing_is_sent(
    tmp_path: Path, images: Path, tiny_engine: Path
) -> None:
    """The 1 is a user's consent, in the file where OpenVINO looks for it."""
    out, engine = str(tmp_path / "preds.csv"), str(tiny_engine)
    code = (
        "import subprocess, sys; run = [sys.executable, '-m', 'hambatch']\n"
        "for command in (sys.argv[1:6], sys.argv[6:]): subprocess.run([*run, *command], check=True)"
    )
    commands = ["score", str(images), "--engine", engine, f"--out={out}"]
    commands += ["engines", "verify", engine]
    done = without_network(tmp_path, "-c", code, *commands, consent="1")
    assert (done.code, done.attempts) == (0, 0), done.text
    assert Path(out).is_file()
    files = [path.name for path in done.home.rglob("*") if path.is_file()]
    assert files == ["openvino_telemetry"]


def test_settings_of_libraries_change_no_row_and_write_nothing(
    tmp_path: Path, images: Path
) -> None:
    """By the default engine: one with few weights has the same scores from all kernels."""
    plain, other = tmp_path / "plain.csv", tmp_path / "other.csv"
    score([images], plain, "auto", ScoreOptions())
    variables = {"OV_CPU_MAX_ISA": "sse41", "ONEDNN_VERBOSE": "2"}
    done = hambatch("score", str(images), "--out", str(other), **variables)
    assert done.returncode == 0, done.stderr
    assert other.read_bytes() == plain.read_bytes()
    assert done.stdout == ""


def test_settings_of_progress_bars_end_no_run(
    tmp_path: Path, images: Path, tiny_engine: Path
) -> None:
    words = ("--engine", str(tiny_engine), "--device", "cpu", "--out", str(tmp_path / "out.csv"))
    variables = {"TQDM_MININTERVAL": "often", "TQDM_NCOLS": "wide"}
    done = hambatch("score", str(images), *words, **variables)
    assert done.returncode == 0, done.stderr


def test_figures_are_drawn_whatever_a_notebook_chose(tmp_path: Path) -> None:
    classes = ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
    rows = [["image", "status", "prediction", *(f"p_{name}" for name in classes), "reason"]]
    for number, name in enumerate(["mel", "nv"] * 3):
        scores = ["1" if name == other else "0" for other in classes]
        rows.append([f"i{number}.jpg", "ok", name, *scores, ""])
    (tmp_path / "preds.csv").write_text("".join(",".join(row) + "\n" for row in rows))
    truth = "".join(f"i{number},{('mel', 'nv')[number % 2]}\n" for number in range(6))
    (tmp_path / "truth.csv").write_text(f"image_id,dx\n{truth}")
    table, answers, out = (str(tmp_path / name) for name in ("preds.csv", "truth.csv", "out"))
    done = hambatch("evaluate", table, "--truth", answers, "--out", out, MPLBACKEND=IN_A_NOTEBOOK)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "roc.png").is_file()


@pytest.mark.parametrize("level", ["1", "2"])
def test_python_without_assertions_is_refused(images: Path, tmp_path: Path, level: str) -> None:
    out = tmp_path / "preds.csv"
    done = hambatch("score", str(images), "--out", str(out), PYTHONOPTIMIZE=level)
    assert done.returncode == 1
    assert f"Python runs with optimisation level {level}" in done.stderr
    assert done.stderr.endswith("Next: unset PYTHONOPTIMIZE, or leave out -O\n")
    assert "Traceback" not in done.stderr
    assert not out.exists()
