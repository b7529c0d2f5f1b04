import json

import pytest
from click.testing import CliRunner

from hambatch.bench.options import BenchCompareOptions
from hambatch.cli import hambatch
from hambatch.cli.bench import compare
from hambatch.errors import ExitCode, InputError
from tests.bench.results import rates, result, throughput, write


@pytest.fixture
def files(tmp_path):
    """Results at 40 images/s, again, at 80 and of too few repeats."""
    write(tmp_path / "a.json", result(throughput(rates(40, 0.01, 10, 1))))
    write(tmp_path / "again.json", result(throughput(rates(40, 0.01, 10, 2))))
    write(tmp_path / "fast.json", result(throughput(rates(80, 0.01, 10, 3), "int8")))
    write(tmp_path / "few.json", result(throughput([40.0, 41.0, 42.0])))
    return tmp_path


def invoke(folder, a, b, *options):
    return CliRunner().invoke(
        hambatch, ["bench", "compare", str(folder / a), str(folder / b), *options]
    )


@pytest.mark.parametrize(
    ("a", "b", "word", "code"),
    [
        ("a.json", "a.json", "noise", 0),
        ("a.json", "again.json", "noise", 0),
        ("a.json", "fast.json", "faster", 0),
        ("fast.json", "a.json", "slower", 3),
    ],
)
def test_the_exit_code_says_whether_it_is_slower(files, a, b, word, code):
    done = invoke(files, a, b)
    assert done.exit_code == code, done.output
    assert done.stdout.splitlines()[-1].startswith(f"Verdict: {word}: ")


def test_slower_has_the_exit_code_of_a_run_that_is_done_but_not_well():
    assert ExitCode.SLOWER == 3


def test_json_is_printed_alone_and_has_the_same_exit_code(files):
    done = invoke(files, "fast.json", "a.json", "--json")
    assert done.exit_code == ExitCode.SLOWER
    assert json.loads(done.stdout)["verdict"] == "slower"


@pytest.mark.parametrize(
    ("b", "message"), [("few.json", "--repeats"), ("none.json", "cannot be read")]
)
def test_what_cannot_be_compared_is_an_input_error(files, b, message):
    done = invoke(files, "a.json", b)
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)


def test_series_are_chosen_by_a_text_of_their_names(files):
    whole = result(throughput(rates(40, 0.01, 9, 1)), throughput(rates(80, 0.01, 9, 2), "int8"))
    write(files / "both.json", whole)
    done = invoke(files, "both.json", "both.json", "--series", "int8=fp32")
    assert done.exit_code == ExitCode.SLOWER, done.output


@pytest.mark.parametrize(
    "options", [("--series", "fp32"), ("--series", "=int8"), ("--change", "0"), ("--change", "nan")]
)
def test_options_that_mean_nothing_are_usage_errors(files, options):
    assert invoke(files, "a.json", "again.json", *options).exit_code == ExitCode.USAGE


def test_options_are_the_fields_of_the_config():
    named = {option.name: option.default for option in compare.params}
    assert named["change"] == BenchCompareOptions().change
