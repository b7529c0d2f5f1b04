from click.testing import CliRunner

from hambatch.cli import hambatch
from hambatch.errors import ExitCode, InputError
from hambatch.ham10000.options import PrepareOptions


def invoke(root, out, *options):
    return CliRunner().invoke(hambatch, ["prepare", str(root), "--out", str(out), *options])


def make_download(root, images):
    rows = [f"HAM_{i:07d},ISIC_{i:07d},nv,histo,40.0,male,back" for i in range(12)]
    header = "lesion_id,image_id,dx,dx_type,age,sex,localization"
    root.mkdir()
    (root / "HAM10000_metadata.csv").write_text("\n".join([header, *rows]) + "\n")
    for i in range(images):
        (root / f"ISIC_{i:07d}.jpg").write_bytes(b"%d" % i)


def test_it_prints_counts_and_names_the_rows_without_image(tmp_path):
    make_download(tmp_path / "ham", images=10)
    result = invoke(tmp_path / "ham", tmp_path / "split.csv")
    assert result.exit_code == ExitCode.OK, result.output
    lines = result.stdout.splitlines()
    assert lines[1].split() == ["class", *["train", "val", "test", "all"] * 2]
    assert next(line for line in lines if line.startswith("nv")).split()[4] == "10"
    assert "metadata rows without image: 2 (ISIC_0000010, ISIC_0000011)" in lines
    assert lines[-1] == f"Next: hambatch train --data {tmp_path / 'split.csv'} --out engines/NAME"


def test_a_folder_that_is_not_there_is_an_input_error(tmp_path):
    result = invoke(tmp_path / "nowhere", tmp_path / "split.csv")
    assert isinstance(result.exception, InputError)
    assert "nowhere" in str(result.exception)


def test_fractions_outside_0_to_1_are_usage_errors(tmp_path):
    for fraction in ("0", "1", "-0.1"):
        result = invoke(tmp_path, tmp_path / "split.csv", "--val-fraction", fraction)
        assert result.exit_code == ExitCode.USAGE


def test_options_are_the_fields_of_the_config():
    command = hambatch.get_command(None, "prepare")
    own = {option.name: option.default for option in command.params}
    assert own.keys() - vars(PrepareOptions()).keys() == {"root", "out", "overwrite"}
    assert vars(PrepareOptions()).items() <= own.items()
