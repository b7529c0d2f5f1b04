"""The command line is instant, consistent and free of tracebacks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hambatch.cli import COMMANDS, hambatch
from hambatch.cli.score import score
from hambatch.errors import ExitCode, InputError
from hambatch.pipelines.options import DecoderOptions
from hambatch.scoring.options import ScoreOptions
from tests.cli.forks import Ended, run_all
from tests.conftest import jpeg_bytes
from tests.waiting import HANGS_S

HEAVY = (
    *("nvidia", "openvino", "tensorflow", "keras", "pandas", "PIL", "matplotlib", "numpy"),
    "cryptography",
)


def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "hambatch", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        cwd=cwd,
        check=False,
        timeout=HANGS_S,
    )


def write_images(folder: Path, *names: str) -> None:
    folder.mkdir()
    for seed, name in enumerate(names):
        (folder / name).write_bytes(jpeg_bytes(seed))


def cpu_seconds(code: str) -> float:
    """Of a Python process that runs some code: the least of five, on a machine however busy."""
    line = [sys.executable, "-c", f"{code}\nimport time\nprint(time.process_time())"]
    runs = [subprocess.run(line, stdout=subprocess.PIPE, check=True) for _ in range(5)]
    return min(float(run.stdout.split()[-1]) for run in runs)


def test_help_is_instant_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['hambatch', '--help']\nfrom hambatch.cli import main\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert e.code == 0\n"
        f"assert not [m for m in {HEAVY!r} if m in sys.modules]"
    )
    # 47 ms to the 36 ms of the library for command lines, which no help can do without.
    assert cpu_seconds(code) < 3 * cpu_seconds("import click")


def test_a_run_that_writes_csv_needs_no_pandas(tmp_path: Path, tiny_engine: Path) -> None:
    """Importing it costs 0.3 s: as much as a fifth of the time for one image."""
    write_images(tmp_path / "images", "a.jpg")
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom hambatch.cli import hambatch\n"
        f"words = ['score', 'images', '--out', 'p.csv', '--engine', {str(tiny_engine)!r}]\n"
        "done = CliRunner().invoke(hambatch, words)\nassert done.exit_code == 0, done.output\n"
        "slow = {'pandas', 'pyarrow', 'scipy', 'matplotlib'}\n"
        "assert not slow & sys.modules.keys(), slow & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=HANGS_S
    )
    assert done.returncode == 0, done.stderr


def test_every_command_has_help() -> None:
    context = click.Context(hambatch)
    for name in COMMANDS:
        command = hambatch.get_command(context, name)
        assert command is not None
        assert command.help


def test_every_score_option_is_a_field_of_the_config_with_its_default() -> None:
    own = {"sources", "null", "out", "kind", "journal_dir", "overwrite", "retry_failed", "sign"} | {
        "update",
        "rehash",
        "mkdir",
    }
    options = {p.name: p.default for p in score.params if p.name not in own}
    decoder, chosen = DecoderOptions(), vars(ScoreOptions())
    assert chosen.pop("decoder") == decoder
    assert options.pop("hw_decoder_load") == decoder.hw_decoder_load
    hints = decoder.preallocate_width_hint, decoder.preallocate_height_hint
    assert options.pop("preallocate") == hints
    assert options == chosen


def test_the_main_job_works_from_any_folder_with_the_default_engine(tmp_path: Path) -> None:
    made = run("samples", "some", "--count", 5, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    done = run("score", "some", "--out", "preds.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "preds.csv").read_text().count("\n") == 6
    assert done.stdout == ""


def test_file_names_are_read_as_utf_8_or_not_at_all(
    tmp_path: Path, tiny_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path / "some", "m\u00e4l.jpg")
    monkeypatch.setenv("LC_ALL", "C")
    command = ("score", "some", "--engine", tiny_engine, "--out", "preds.csv")
    monkeypatch.setenv("PYTHONUTF8", "0")
    done = run(*command, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.endswith("Next: set PYTHONUTF8=1\n")
    assert not (tmp_path / "preds.csv").exists()
    monkeypatch.setenv("PYTHONUTF8", "1")
    done = run(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\nm\u00e4l.jpg," in (tmp_path / "preds.csv").read_text("utf-8")


@pytest.fixture(scope="module")
def odd(
    tmp_path_factory: pytest.TempPathFactory, tiny_engine: Path
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """How a run ended on a folder with an empty file, where names are no text; and the folder."""
    place = tmp_path_factory.mktemp("odd") / os.fsdecode(b"caf\xe9")
    run("samples", place, "--count", 2)
    (place / "empty.jpg").touch()
    (place / os.fsdecode(b"not\xe9.txt")).write_text("no image")
    return run("score", place, "--out", place / "p\udce9.csv", "--engine", tiny_engine), place


def test_a_failed_image_gives_exit_code_3(
    odd: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, _ = odd
    assert done.returncode == 3
    assert "1 x empty file" in done.stderr


WRONG: list[tuple[list[str], int, str]] = [
    (["score", "nowhere", "--out", "p.csv"], 1, "does not exist"),
    (["score", ".", "--out", "p.csv"], 1, "hambatch samples"),
    (["score", "some", "--out", "no/such/p.csv"], 1, "no folder"),
    (["score", "some", "--out", "p.csv"], 1, "some does not exist"),
    (["score", ".", "--out", "p.csv", "--engine", "nope"], 1, "hambatch engines list"),
    (["score", "some", "--out", "p.csv", "--batch-size", "0"], 2, "batch-size"),
    (["score", "some", "--out", "p.csv.gz"], 1, "--out p.csv"),
    (["score", ".", "--out", "p.csv", "--retry-failed"], 1, "No such file"),
    (["verify", "p.csv", "some"], 1, "hambatch score SOURCE"),
    (["score", "some", "--out", "."], 1, "is a folder"),
    (["score", "some", "--out", "/dev/null"], 1, "is a device"),
    (["score", "some", "--out", "p.csv", "--max-megapixels", "inf"], 2, "megapixels"),
    (["score", "some", "--out", "p.csv", "--fail-over", "nan"], 2, "fail-over"),
    (["score", "some", "--out", "p.csv", "--overwrite", "--retry-failed"], 2, "--overwrite"),
    (["score", "some"], 2, "--out"),
    (["nonsense"], 2, "nonsense"),
]
"""Arguments, the exit code, and what is said."""


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Ended, Path]]:
    """How each of them ended, and the folder that it ran in."""
    folders = [tmp_path_factory.mktemp("here") for _ in WRONG]
    ended = run_all([(folder, words) for folder, (words, *_) in zip(folders, WRONG, strict=True)])
    return [*zip(ended, folders, strict=True)]


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[" ".join(one) for one, *_ in WRONG])
def test_a_wrong_set_up_is_one_message_without_a_traceback(
    wrong: list[tuple[Ended, Path]], number: int
) -> None:
    (done, folder), (_, code, says) = wrong[number], WRONG[number]
    assert done.code == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert list(folder.iterdir()) == []


def test_an_unwritable_output_is_named(tmp_path: Path, tiny_engine: Path) -> None:
    # /proc refuses new files, even to root.
    write_images(tmp_path / "some", "good.jpg")
    done = run("score", "some", "--out", "/proc/p.csv", "--engine", tiny_engine, cwd=tmp_path)
    assert done.returncode == 1
    assert "cannot write /proc/p.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_impossible_output_name_is_refused(tmp_path: Path) -> None:
    done = run("score", ".", "--out", "x" * 300, cwd=tmp_path)
    assert done.returncode == ExitCode.USAGE
    assert "too long for this file system" in done.stderr
    assert "Traceback" not in done.stderr


def test_engines_are_listed_shown_and_verified(tiny_engine: Path) -> None:
    of_tiny = [["engines", what, str(tiny_engine)] for what in ("show", "verify")]
    commands = [(tiny_engine, words) for words in (["engines", "list"], *of_tiny)]
    listed, shown, verified = run_all(commands)
    assert "three-sources-resnet50" in listed.stdout
    assert '"name": "tiny"' in shown.stdout
    assert "graphs load: model.onnx" in verified.stdout


def test_folders_and_files_whose_names_are_no_text_end_up_in_the_record(
    odd: tuple[subprocess.CompletedProcess[str], Path],
) -> None:
    done, place = odd
    assert done.returncode == 3, done.stderr
    record = json.loads((place / "p\udce9.csv.run.json").read_text())
    assert record["source"].endswith("caf%E9")
    assert record["not_scored"]["others"]["names"] == ["not%E9.txt", "p%E9.csv.journal"]


@pytest.mark.parametrize(
    "words",
    [
        ["score", "", "--out", "t.csv"],
        ["verify", "t.csv", ""],
        ["parity", ""],
        ["explain", "", "--out", "e"],
        ["evaluate", "t.csv", "--images", ""],
    ],
    ids=lambda words: words[0],
)
def test_an_empty_source_is_refused_and_not_the_current_folder(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(jpeg_bytes(1))
    result = CliRunner().invoke(hambatch, words)
    assert isinstance(result.exception, InputError), result.output
    assert "a SOURCE is an empty text, wanted a folder" in str(result.exception)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a.jpg"]
