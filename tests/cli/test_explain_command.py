"""`hambatch explain`: what may be asked, and how it ends."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from hambatch.cli.explain import explain
from hambatch.explanation.options import ExplainOptions
from tests.conftest import jpeg_bytes
from tests.explanation.made_engine import make_engine
from tests.faults.holding import Hold
from tests.waiting import wait_for

IMAGES = 30


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(hambatch, ["explain", *map(str, arguments)])


def test_every_option_is_a_field_of_the_config_with_its_default() -> None:
    own = {"images", "table", "out", "source"}
    options = {p.name: p.default for p in explain.params if p.name not in own}
    assert options == vars(ExplainOptions())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a.jpg", "--class", "foo"], "'foo' is not one of 'akiec', 'bcc'"),
        (["--from", "p.csv", "--label", "melanoma"], "'melanoma' is not one of"),
        ([], "wanted either images or --from PREDS"),
        (["a.jpg", "--from", "p.csv"], "wanted either images or --from PREDS"),
        (["a.jpg", "--label", "mel"], "--label goes with --from"),
        (["a.jpg", "--top", "16"], "--top goes with --from"),
        (["a.jpg", "--source", "here"], "--source goes with --from"),
        (["--from", "p.csv", "--top", "0"], "top"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(
    tmp_path: Path, arguments: list[str], says: str
) -> None:
    result = invoke(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert says in result.output
    assert not (tmp_path / "out").exists()


def test_a_broken_image_gives_exit_code_3_and_costs_no_other_its_picture(tmp_path: Path) -> None:
    engine = make_engine(tmp_path / "headed")
    (tmp_path / "good.jpg").write_bytes(jpeg_bytes(3))
    (tmp_path / "empty.jpg").touch()
    out = tmp_path / "out"
    images = (tmp_path / "empty.jpg", tmp_path / "good.jpg")
    result = invoke(*images, "--engine", engine, "--class", "mel", "--out", out)
    assert result.exit_code == 3, result.output
    assert "2 images, 1 explained, 1 failed (headed, openvino-fp32)" in result.stderr
    assert "failed: 1 x empty file" in result.stderr
    assert result.stdout == ""
    assert sorted(path.name for path in out.iterdir()) == ["0002_good_mel.png", "explain.json"]


def test_ctrl_c_stops_it_between_two_images(tmp_path: Path) -> None:
    engine, out = make_engine(tmp_path / "headed"), tmp_path / "out"
    for k in range(IMAGES):
        (tmp_path / f"{k:03d}.jpg").write_bytes(jpeg_bytes(k % 7))
    images = map(str, sorted(tmp_path.glob("*.jpg")))
    words = ["explain", *images, "--engine", str(engine), "--out", str(out)]
    hold = Hold(tmp_path / "hold", batch=3)
    with subprocess.Popen(
        [sys.executable, "-m", "hambatch", *words], env=hold.environment, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr
        wait_for(lambda: hold.is_held and [*out.glob("*.png")], "a picture", process)
        process.send_signal(signal.SIGINT)
        wait_for(lambda: b"stopping" in process.stderr.readline(), "it stops", process)
        hold.let_go()
        process.stderr.read()
    assert process.returncode == 130
    assert 0 < len(list(out.glob("*.png"))) < IMAGES
    assert not (out / "explain.json").exists()
