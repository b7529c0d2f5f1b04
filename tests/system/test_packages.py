"""One place decides which TensorRT is taken; the packaging says the same."""

import configparser
import json

import pytest

from hambatch import backends as runtime
from hambatch.backends import runtime_of
from hambatch.engines.backend_names import LIBRARIES
from hambatch.system.packages import BINDINGS, DISTRIBUTIONS, OLDEST
from hambatch.system.packages import LIBRARIES as RECORDED
from tests.conftest import REPOSITORY

WANTED = ".".join(map(str, OLDEST))


def test_the_extra_asks_for_the_oldest_that_is_taken() -> None:
    packaging = configparser.ConfigParser()
    packaging.read(REPOSITORY / "setup.cfg")
    extra = packaging["options.extras_require"]["gpu"].split()
    (asked,) = (line for line in extra if line.startswith("tensorrt"))
    name, _, version = asked.partition(">=")
    assert name in DISTRIBUTIONS
    assert version == WANTED


def test_the_oldest_is_the_one_that_names_were_compared_with() -> None:
    listing = json.loads((REPOSITORY / "tools" / "tensorrt_api.json").read_text())
    assert listing["version"].startswith(f"{WANTED}.")


@pytest.mark.parametrize("name", BINDINGS)
def test_bindings_for_either_cuda_are_recorded_and_told(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert name in RECORDED
    assert name in LIBRARIES["tensorrt"]

    def version(asked: str) -> str:
        if asked != name:
            raise runtime.PackageNotFoundError(asked)
        return "11.4"

    monkeypatch.setattr(runtime, "version", version)
    assert runtime_of("tensorrt-fp16") == "tensorrt 11.4"
