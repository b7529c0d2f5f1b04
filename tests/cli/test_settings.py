"""Options come from the command line, else from variables, else from a file, else from defaults."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from hambatch.cli import COMMANDS, hambatch
from hambatch.cli.configuration_file import options_of
from tests.conftest import REPOSITORY, jpeg_bytes
from tests.waiting import HANGS_S

SCORE = ("score", ".", "--out", "p.csv")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("HAMBATCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(*words: str, toml: str = "", **variables: str) -> Result:
    """Run a command in this process; with a file of that content, if any."""
    if toml:
        Path("night.toml").write_text(toml)
        words = (*words, "--config", "night.toml")
    return CliRunner(env=variables).invoke(hambatch, [*words])


def refused(*words: str, toml: str = "", **variables: str) -> str:
    """Give the message of a command that is refused as wrong usage, on one line."""
    done = invoke(*words, toml=toml, **variables)
    assert done.exit_code == 2, done.output
    return " ".join(done.stderr.partition("Error: ")[2].split())


def every_command() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(hambatch)
    for name in COMMANDS:
        command = hambatch.get_command(context, name)
        assert command
        subs = command.commands.items() if isinstance(command, click.Group) else []
        yield from [(f"{name} {sub}", each) for sub, each in subs] or [(name, command)]


def test_the_command_line_has_precedence_over_a_variable_and_that_over_the_file() -> None:
    toml = "[samples]\ncount = 3\n"
    for words, variables, count in (
        (["--count", "1"], {"HAMBATCH_SAMPLES_COUNT": "2"}, 1),
        ([], {"HAMBATCH_SAMPLES_COUNT": "2"}, 2),
        ([], {}, 3),
    ):
        done = invoke("samples", f"of_{count}", *words, toml=toml, **variables)
        assert done.exit_code == 0, done.output
        assert len([*Path(f"of_{count}").iterdir()]) == count


def test_a_wrong_value_is_said_with_where_it_came_from() -> None:
    toml = '[score]\ndevice = "in file"\n'
    typed = refused(*SCORE, "--device", "typed", toml=toml, HAMBATCH_SCORE_DEVICE="x")
    assert typed.startswith("Invalid value for '--device': --device is 'typed'")
    of_variable = refused(*SCORE, toml=toml, HAMBATCH_SCORE_DEVICE="in variable")
    assert "'--device' (HAMBATCH_SCORE_DEVICE): --device is 'in variable'" in of_variable
    of_file = refused(*SCORE, toml=toml)
    assert "'--device' (night.toml: device in [score]): --device is 'in file'" in of_file


def test_a_file_may_be_named_by_a_variable_and_before_the_command() -> None:
    Path("a.toml").write_text("[samples]\ncount = 0\n")
    Path("b.toml").write_text("[samples]\nseed = -1\n")
    of_variable = refused("samples", "x", HAMBATCH_CONFIG="a.toml")
    assert "(a.toml: count in [samples])" in of_variable
    of_line = refused("--config", "b.toml", "samples", "x", HAMBATCH_CONFIG="a.toml")
    assert "(b.toml: seed in [samples])" in of_line


def test_options_that_exclude_each_other_do_so_wherever_they_come_from() -> None:
    words = (*SCORE, "--retry-failed")
    found = refused(*words, toml="[score]\noverwrite = true\n")
    assert found.endswith("--overwrite is set by night.toml: overwrite in [score]")
    assert "--overwrite is set by HAMBATCH_SCORE" in refused(*words, HAMBATCH_SCORE_OVERWRITE="1")
    allowed = invoke(*words, toml="[score]\noverwrite = true\n", HAMBATCH_SCORE_OVERWRITE="no")
    assert allowed.exit_code == 1  # there is nothing to score


def test_options_of_the_other_recipe_are_refused_wherever_they_come_from() -> None:
    words = ("train", "--data", "split.csv", "--out", "x", "--recipe", "published")
    assert "--steps is set by night.toml" in refused(*words, toml="[train]\nsteps = 5\n")


def test_an_option_of_int8_is_not_taken_without_it_wherever_it_comes_from() -> None:
    found = refused("export", "x", "--images", ".", toml="[export]\nseed = 5\n")
    assert "without --int8" in found


def test_every_option_of_every_command_has_a_key_of_its_own_and_no_argument_has_one() -> None:
    for name, command in every_command():
        settable = [x for x in command.params if isinstance(x, click.Option) and x.name != "help"]
        keys = options_of(command)
        assert len(keys) == len(settable), name
        for key, option in keys.items():
            typed = [text[2:].replace("-", "_") for text in option.opts if text[:2] == "--"]
            assert key in (typed or ["null"]), name
            assert key not in ("config", "log_format", "quiet"), name


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("HAMBATCH_SCORE_BATCHSIZE", "such as HAMBATCH_SCORE_BATCH_SIZE. Next: unset"),
        ("HAMBATCH_SCORE_SOURCES", "stands for no option"),
        ("HAMBATCH_SCORE_KIND", "stands for no option"),
        ("HAMBATCH_BENCH_BATCH_SIZE", "stands for no option"),
        ("HAMBATCH_DEVICE", "stands for no option"),
    ],
)
def test_a_variable_that_is_no_option_is_refused_by_every_command(variable: str, says: str) -> None:
    found = refused("engines", "list", **{variable: "1"})
    assert found.startswith(f"{variable} in the environment")
    assert says in found


def test_processes_that_a_command_starts_get_none_of_its_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HAMBATCH_SAMPLES_COUNT", "1")
    monkeypatch.setenv("HAMBATCH_FAULT_SEED", "7")
    assert invoke("samples", "some").exit_code == 0
    assert [name for name in os.environ if name.startswith("HAMBATCH_")] == ["HAMBATCH_FAULT_SEED"]


def test_the_example_in_the_documents_is_taken() -> None:
    text = (REPOSITORY / "docs" / "configuration.md").read_text()
    toml = text.partition("```toml\n")[2].partition("```")[0]
    assert "[bench.engine]" in toml
    done = invoke("engines", "list", toml=toml)
    assert done.exit_code == 0, done.output


def test_variables_of_the_fault_tests_and_of_other_programs_are_left_alone() -> None:
    done = invoke("engines", "list", HAMBATCH_FAULT_SEED="7", OTHER_SCORE_DEVICE="x")
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("scor = 1", "scor is no option of `hambatch`"),
        ("[scores]", "scores is no command of `hambatch`, such as score"),
        ("score = 1", "score is 1, wanted the table [score]"),
        ('config = "x"', "config is no option"),
        ("[score]\nbatchsize = 3", "batchsize in [score] is no option of `hambatch score`, such"),
        ("[score]\nbatch-size = 3", "batch-size in [score] is no option of `hambatch score`, such"),
        ('[score]\nsources = ["a"]', "sources in [score] is no option"),
        ('[score]\nkind = "csv"', "kind in [score] is no option"),
        ('[score]\nbatch_size = "32"', 'batch_size in [score] is "32", wanted a whole number.'),
        ("[score]\nbatch_size = true", "is true, wanted a whole number"),
        ("[score]\nbatch_size = [3]", "is [3], wanted a whole number"),
        ("[score]\nbatch_size = 1.0", "is 1.0, wanted a whole number"),
        ("[score]\nbatch_size = 1979-05-27", "is 1979-05-27, wanted a whole number"),
        ('[score]\ndouble_check = "some"', 'is "some", wanted a number, or "all"'),
        ("[score]\noverwrite = 1", "is 1, wanted true or false"),
        ("[score]\ncalibration = 'no'", 'is "no", wanted true or false'),
        ("[score]\ndevice = 0", "is 0, wanted text in quotes"),
        ("[score]\npreallocate = [1]", "is [1], wanted a list of 2 values: a whole number each"),
        ('[evaluate]\nimages = "a"', "wanted a list of values: text in quotes each"),
        ('[bench.engine]\nstreams = ["1"]', "streams in [bench.engine] is ['1'], wanted a list"),
        ("[bench]\nengine = 3", "engine in [bench] is 3, wanted the table [bench.engine]"),
        ('[score]\nsign = "a\\u0000b"', "wanted text without NUL"),
        ('[evaluate]\nimages = ["a\\u0000b"]', "wanted text without NUL"),
        ("quiet = [{" + ".".join("a" * 50_000) + " = 1}]", "quiet is a list with tables in it"),
        ("[score", "night.toml is no TOML"),
        ("a = " + "[" * 100_000, "is no TOML: it is nested too deeply"),
        ("a = " + "1" * 10_000, "is no TOML: Exceeds the limit"),
        ("#" * 300_000, "cannot be read: it has more than 262144 bytes"),
    ],
)
def test_a_file_with_anything_wrong_is_refused_by_every_command(toml: str, says: str) -> None:
    found = refused("engines", "list", toml=toml)
    assert says in found, found
    assert "night.toml" in found


def test_only_a_regular_file_is_read() -> None:
    os.mkfifo("pipe")
    for name, why in (("pipe", "not a regular file"), ("nowhere", "No such file"), (".", "not a")):
        found = refused("engines", "list", "--config", name)
        assert found.startswith(f"the configuration file {name} cannot be read: {why}")
        assert found.endswith("Next: name one with --config or HAMBATCH_CONFIG")


def test_a_value_of_the_right_kind_is_checked_as_on_the_command_line() -> None:
    assert "0 is not in the range" in refused(*SCORE, toml="[score]\nbatch_size = 0\n")
    assert "not a finite number" in refused(*SCORE, toml="[score]\nmax_ratio = nan\n")
    assert "not a valid boolean" in refused(*SCORE, HAMBATCH_SCORE_OVERWRITE="perhaps")
    assert "'xml' is not one of" in refused("engines", "list", HAMBATCH_LOG_FORMAT="xml")


def test_wrong_settings_do_not_prevent_help_and_prevent_all_else() -> None:
    done = invoke("score", "--help", toml="scor = 1\n", HAMBATCH_SCOR="1")
    assert done.exit_code == 0
    assert "--log-format [text|json]" in done.stdout
    assert "no option" in refused("score", ".", "--out", "--help", toml="scor = 1\n")


def test_hambatchs_own_options_lack_a_value_or_take_none_as_click_says() -> None:
    assert refused("engines", "list", "--config") == "Option '--config' requires an argument."
    assert refused("engines", "list", "--quiet=1") == "Option '--quiet' does not take a value."


def test_after_two_dashes_a_word_is_no_option(place: Path) -> None:
    done = invoke("verify", "--", "p.csv", "--quiet")
    assert "hambatch score SOURCE" in str(done.exception)


def test_a_run_takes_flags_pairs_and_lists_from_variables_and_the_file(
    place: Path, tiny_engine: Path
) -> None:
    """The record says what it used."""
    (place / "images").mkdir()
    (place / "images" / "one.jpg").write_bytes(jpeg_bytes(1))
    (place / "night.toml").write_text(
        f'[score]\nout = "p.jsonl"\nengine = "{tiny_engine}"\nbatch_size = 7\n'
        'preallocate = [100, 200]\ncalibration = false\ndouble_check = "all"\nformat = "jsonl"\n'
        "[train]\nsteps = 5\n"
    )
    variables = {"HAMBATCH_CONFIG": "night.toml", "HAMBATCH_SCORE_MODEL_CACHE": "false"}
    variables |= {"HAMBATCH_SCORE_PREALLOCATE": "300 400", "HAMBATCH_QUIET": "yes"}
    done = subprocess.run(
        [sys.executable, "-m", "hambatch", "score", "images", "--batch-size", "5"],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=HANGS_S,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    used = json.loads(Path("p.jsonl.run.json").read_text())["options"]
    decoder = used["decoder"]
    assert (used["batch_size"], used["calibration"], used["model_cache"]) == (5, False, False)
    assert (decoder["preallocate_width_hint"], decoder["preallocate_height_hint"]) == (300, 400)
    assert used["double_check"] == 100
    assert json.loads(Path("p.jsonl").read_text())["image"] == "one.jpg"
