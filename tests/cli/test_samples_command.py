import subprocess
import sys

from click.testing import CliRunner

from hambatch.cli import hambatch
from hambatch.engines.options import SampleOptions
from hambatch.errors import ExitCode


def test_one_line_says_how_many_where_and_what_next(tmp_path):
    folder = tmp_path / "my samples"
    result = CliRunner().invoke(hambatch, ["samples", str(folder), "--count", "2"])
    assert result.exit_code == ExitCode.OK
    assert result.stdout == (
        f"Wrote 2 images to '{folder}'. Next: hambatch score '{folder}' --out preds.csv\n"
    )
    assert len(list(folder.iterdir())) == 2


def test_a_count_of_zero_is_a_usage_error_before_anything_is_written(tmp_path):
    result = CliRunner().invoke(hambatch, ["samples", str(tmp_path / "s"), "--count", "0"])
    assert result.exit_code == ExitCode.USAGE
    assert not (tmp_path / "s").exists()


def test_options_are_the_fields_of_the_config():
    command = hambatch.get_command(None, "samples")
    options = {option.name: option.default for option in command.params if option.name != "folder"}
    assert options == vars(SampleOptions())


def test_a_disk_that_takes_a_part_of_an_image_leaves_no_image(tmp_path):
    """A limit on the size of a file: like a full disk, it takes the first part of a write."""
    limited = f"ulimit -f 8; exec {sys.executable} -m hambatch samples s --count 1"
    run = subprocess.run(["bash", "-c", limited], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1, run.stderr
    assert "sample_00000.jpg: File too large" in run.stderr
    assert not list((tmp_path / "s").iterdir())
