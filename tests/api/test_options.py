"""Options of the Python API are those of the command, by name, type and range."""

from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import click
import pytest

import hambatch
from hambatch.api.options import RunOptions, ScorerOptions, options_from
from hambatch.cli.score import score as command
from hambatch.errors import InputError
from hambatch.scoring.options import ScoreOptions


def plain(kind: object) -> object:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def test_they_have_the_names_and_types_of_the_command_s() -> None:
    wanted = {
        name: plain(kind)
        for name, kind in get_type_hints(ScoreOptions, include_extras=True).items()
        if name != "engine"
    }
    assert get_type_hints(RunOptions) == wanted
    assert {*wanted} - {*get_type_hints(ScorerOptions)} == {"fail_over"}
    assert isinstance(command, click.Command)


@pytest.mark.parametrize("device", ["auto", "cpu", "gpu"])
def test_a_backend_that_does_not_exist_is_not_taken_for_another(
    tiny_engine: Path, device: str
) -> None:
    with pytest.raises(InputError, match="--backend is 'openvin', wanted one of auto, openvino"):
        hambatch.Scorer(tiny_engine, backend="openvin", device=device)


@pytest.mark.parametrize("name", ["overwrite", "retry_failed", "update", "mkdir", "rehash"])
def test_a_text_does_not_switch_an_option_on(tmp_path: Path, name: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text("kept")
    wrong: Any = {name: "no"}
    with pytest.raises(TypeError, match=f"{name} is 'no', wanted"):
        hambatch.score(tmp_path, table, **wrong)
    assert table.read_text() == "kept"


def test_an_unknown_one_is_a_type_error_and_a_wrong_value_names_what_was_wanted() -> None:
    with pytest.raises(TypeError, match="'max_megabyte'; did you mean max_megabytes"):
        options_from("Scorer", "x", {"max_megabyte": 1}, ScorerOptions)
    with pytest.raises(TypeError, match="unexpected keyword argument 'fail_over'"):
        options_from("Scorer", "x", {"fail_over": 1}, ScorerOptions)
    with pytest.raises(InputError, match="tta is 9, wanted int <= 8"):
        options_from("score", "x", {"tta": 9}, RunOptions)
