"""Help shows examples, options under headings, and what was probably meant."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from hambatch.cli import COMMANDS, SECTIONS, hambatch
from hambatch.cli.help import HEADINGS, OTHER
from tests.waiting import HANGS_S

HEAVY = {"numpy", "pandas", "scipy", "openvino", "nvidia", "PIL", "matplotlib", "jinja2"}


def every_command() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(hambatch)
    for name in COMMANDS:
        command = hambatch.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", command.commands[sub]) for sub in command.commands)
        else:
            yield name, command


def help_of(command: str) -> str:
    done = CliRunner().invoke(hambatch, [*command.split(), "--help"])
    assert done.exit_code == 0, done.output
    return done.output


def test_commands_are_listed_by_what_they_are_for() -> None:
    text = help_of("")
    places = [text.index(heading) for heading in SECTIONS]
    assert places == sorted(places)
    assert text.index("score ") < text.index("verify ") < text.index("train ")


@pytest.mark.parametrize(("name", "command"), list(every_command()))
def test_every_command_has_an_example_of_itself(name: str, command: click.Command) -> None:
    text = help_of(name)
    assert "\nExamples:\n" in text
    assert f"\n  hambatch {name}" in text[text.index("Examples:") :]


def test_an_option_stands_under_its_heading() -> None:
    text = help_of("score")
    headings = [heading for heading in HEADINGS if f"\n{heading}:\n" in text]
    assert headings == list(HEADINGS)
    assert text.index("Limits:") < text.index("--max-megabytes X")
    assert text.index("Speed:") < text.index("--threads N") < text.index(f"{OTHER}:")


def test_no_command_needs_a_heavy_package_for_its_help() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\n"
        "from hambatch.cli import hambatch\n"
        "for words in sys.argv[1:]:\n"
        "    assert CliRunner().invoke(hambatch, [*words.split(), '--help']).exit_code == 0\n"
        f"heavy = {HEAVY!r}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    names = [name for name, _ in every_command()]
    subprocess.run([sys.executable, "-c", code, *names], check=True, timeout=HANGS_S)


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (["scor", "images"], "'score'"),
        (["score", "images", "--ou", "x.csv"], "'--out'"),
        (["engines", "verfy"], "'verify'"),
    ],
)
def test_a_mistyped_word_gets_a_suggestion(words: list[str], suggestion: str) -> None:
    done = CliRunner().invoke(hambatch, words)
    assert done.exit_code == 2
    assert "Did you mean" in done.output
    assert suggestion in done.output
