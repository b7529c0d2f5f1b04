"""Defaults of engines and samples: option name = field name = key in the record."""

from dataclasses import dataclass

DEFAULT_ENGINE = "three-sources-resnet50"
"""The engine that comes with the package."""


@dataclass(frozen=True)
class SampleOptions:
    """`hambatch samples`."""

    count: int = 32
    seed: int = 0
