"""With --log-format json every line on stderr is an object; with --quiet there are few lines."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hambatch.cli import progress
from hambatch.cli.messages import Messages
from tests.cli.forks import Ended, run_all
from tests.conftest import jpeg_bytes
from tests.waiting import HANGS_S, wait_for

JSON = ("--log-format", "json")

# In the parent: what libraries and children write. In a worker: the death of a decoder.
NOISE = """
import logging, multiprocessing, os, sys, threading, warnings
from PIL import Image
def wrong():
    raise KeyError("of a thread")
def opened(event, of):
    if event == "open" and str(of[0]).endswith("engine.json") and not said:
        said.append(True)
        if not multiprocessing.parent_process():
            say()
def say():
    warnings.warn("a library grows old", DeprecationWarning)
    warnings.warn("a library is used wrongly")
    logging.getLogger("library").warning("is %s", "logged")
    print("printed", file=sys.stderr)
    os.write(2, b"from C\\n\\nwith \\xe9 and no end of line")
    os.system("printf '\\\\nof a child\\\\n' >&2")
    thread = threading.Thread(target=wrong)
    thread.start()
    thread.join()
def open_image(stream, *given, **options):
    if multiprocessing.parent_process() and b"kills its worker" in stream.getvalue():
        os.abort()
    return real(stream, *given, **options)
said, real, Image.open = [], Image.open, open_image
sys.addaudithook(opened)
"""

HELD = """
import multiprocessing, os, sys, time
def opened(event, of):
    if event == "open" and str(of[0]).endswith("model.onnx") and multiprocessing.parent_process():
        open({reached!r}, "a").close()
        time.sleep({hangs!r})
sys.addaudithook(opened)
"""

BUG = """
import sys
def opened(event, of):
    if event == "open" and str(of[0]).endswith("engine.json"):
        1 / 0
sys.addaudithook(opened)
"""


def objects(stderr: str) -> list[dict[str, Any]]:
    """Read every line; each has the fields that all have."""
    found = [json.loads(line) for line in stderr.split("\n")[:-1]]
    assert stderr.endswith("\n")
    for one in found:
        assert [*one][:4] == ["time", "level", "event", "message"]
        assert one["level"] in ("info", "warning", "error")
        assert one["time"].endswith("Z")
    return found


def with_code(place: Path, code: str, *words: object) -> list[str]:
    (place / "code").mkdir()
    (place / "code" / "sitecustomize.py").write_text(code)
    line = ["env", f"PYTHONPATH={place / 'code'}", sys.executable, "-m", "hambatch"]
    return [*line, *map(str, words)]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("messages") / "images"
    folder.mkdir()
    for seed in range(2):
        (folder / f"{seed}.jpg").write_bytes(jpeg_bytes(seed))
    (folder / os.fsdecode(b"empty\xe9.jpg")).touch()
    return folder


@pytest.fixture(scope="module")
def noisy(
    images: Path, tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory
) -> subprocess.CompletedProcess[str]:
    """A run with failed rows, a lost worker, and libraries that write to stderr."""
    place = tmp_path_factory.mktemp("noisy")
    content = jpeg_bytes(9)
    (images / "crash.jpg").write_bytes(content[:20] + b"kills its worker" + content[20:])
    words = ("score", images, "--out", place / "p.csv", "--engine", tiny_engine, *JSON)
    line = with_code(place, NOISE, *words, "--device", "cpu")
    return subprocess.run(line, capture_output=True, text=True, timeout=HANGS_S)


@pytest.fixture(scope="module")
def ended(images: Path, tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Ended]:
    """Commands that end in several ways: text, then JSON or quiet."""
    place = tmp_path_factory.mktemp("ended")
    (place / "json.toml").write_text('log_format = "json"\nwrong = 1\n')
    score = ("score", str(images / "0.jpg"), "--engine", str(tiny_engine), "--device", "cpu")
    bad = ("score", str(images), *score[2:], "--out", "bad.csv", "--quiet")
    lines: list[tuple[str, ...]] = [
        (*score, "--out", "p.csv", "--quiet"),
        bad,
        (*score, "--out", "p.csv", "--quiet"),
        (*score, "--out", "p.csv"),
        (*score, "--out", "p.csv", *JSON),
        (*score, "--nope"),
        (*score, "--nope", *JSON),
        ("--log-format=json", "--nope"),
        ("engines", "list", "--config", "json.toml"),
        ("samples", "some", "--count", "1", *JSON),
    ]
    return run_all([(place, [*words]) for words in lines])


def test_every_line_is_an_object_whatever_libraries_and_children_write(
    noisy: subprocess.CompletedProcess[str],
) -> None:
    assert noisy.returncode == 3, noisy.stderr
    found = objects(noisy.stderr)
    assert [one["message"] for one in found if one["event"] == "output"] == [
        "printed",
        "from C",
        "with \\xe9 and no end of line",
        "of a child",
    ]
    logged = {one["logger"]: one["message"] for one in found if one["event"] == "log"}
    assert logged["library"] == "is logged"
    assert "UserWarning: a library is used wrongly" in logged["py.warnings"]
    bug = next(one for one in found if one["event"] == "bug")
    assert 'raise KeyError("of a thread")' in bug["traceback"]


def test_plan_progress_and_summary_are_objects_with_figures(
    noisy: subprocess.CompletedProcess[str],
) -> None:
    by_event = {one["event"]: one for one in objects(noisy.stderr)}
    plan, done, summary = by_event["plan"], by_event["progress"], by_event["summary"]
    assert (plan["device"], plan["backend"], plan["precision"]) == ("cpu", "openvino", "fp32")
    assert (done["done"], done["total"], done["failed"]) == (4, 4, 2)
    counts = [summary[key] for key in ("images", "scored", "failed", "exit_code", "level")]
    assert counts == [4, 2, 2, 3, "warning"]
    reasons = summary["failures_by_reason"]
    assert reasons["empty file"] == 1
    assert any("signal 6" in reason for reason in reasons), reasons


def test_progress_is_said_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Messages()
    monkeypatch.setattr(progress, "messages", lambda: shown)
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    shown.choose("json")
    try:
        assert [*progress.progress("turns")("abc", 3)] == ["a", "b", "c"]
    finally:
        shown.close_if_shared()
    found = objects(capsys.readouterr().err)
    assert [one["message"] for one in found][-1] == "3 of 3 turns"
    assert [one["done"] for one in found][:3] == [1, 2, 3]


def test_a_quiet_run_says_nothing_if_all_is_well_and_one_line_if_images_failed(
    ended: list[Ended],
) -> None:
    assert ended[0] == (0, "", "")
    assert ended[1].code == 3
    assert ended[1].stderr.startswith("bad.csv: ")
    assert ended[1].stderr.count("\n") == 1
    assert ended[2].code == 1
    assert ended[2].stderr == ended[3].stderr


def test_an_error_is_an_object_with_the_next_command_and_the_text_is_as_ever(
    ended: list[Ended],
) -> None:
    _, _, _, text, as_json, *_ = ended
    [one] = objects(as_json.stderr)
    assert text.stderr == f"Error: {one['message']}\nNext: {one['next']}\n"
    assert (one["event"], one["level"], one["kind"]) == ("error", "error", "InputError")
    assert as_json.code == text.code == one["exit_code"] == 1


def test_a_wrong_command_line_is_an_object_wherever_the_format_is_said(ended: list[Ended]) -> None:
    text, as_json, early, of_file = ended[5:9]
    [one] = objects(as_json.stderr)
    assert text.stderr.endswith(f"\n\nError: {one['message']}\n")
    assert (one["event"], one["next"]) == ("usage", "hambatch score --help")
    assert "--nope" in objects(early.stderr)[0]["message"]
    assert "wrong is no option" in objects(of_file.stderr)[0]["message"]
    assert [each.code for each in (text, as_json, early, of_file)] == [2] * 4


def test_standard_output_is_as_with_text(ended: list[Ended]) -> None:
    assert ended[9].stdout.startswith("Wrote 1 image to some. Next: hambatch score")
    assert ended[9].stderr == ""


def test_a_bug_is_one_object_with_its_traceback(tmp_path: Path) -> None:
    line = with_code(tmp_path, BUG, "engines", "show", *JSON)
    done = subprocess.run(line, capture_output=True, text=True, timeout=HANGS_S)
    assert done.returncode == 1
    [one] = objects(done.stderr)
    assert (one["event"], one["message"]) == ("bug", "ZeroDivisionError: division by zero")
    assert one["traceback"].startswith("Traceback")


@pytest.fixture
def held(
    images: Path, tiny_engine: Path, tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    reached = tmp_path / "reached"
    code = HELD.format(reached=str(reached), hangs=HANGS_S)
    words = ("score", images, "--engine", tiny_engine, "--out", tmp_path / "p.csv", *JSON)
    line = with_code(tmp_path, code, *words, "--device", "cpu")
    process = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
    yield process, reached
    process.kill()
    process.communicate()


def test_an_interrupt_is_an_object_and_the_exit_code_is_130(
    held: tuple[subprocess.Popen[str], Path],
) -> None:
    process, reached = held
    wait_for(reached.exists, "the worker is held", process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=HANGS_S)[1]
    assert process.returncode == 130
    plan, *_, last = objects(said)
    assert plan["event"] == "plan"
    assert (last["event"], last["level"], last["exit_code"]) == ("interrupted", "error", 130)
