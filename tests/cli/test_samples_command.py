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
