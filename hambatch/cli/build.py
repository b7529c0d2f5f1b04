"""`hambatch build`: an engine's ONNX to a TensorRT plan for one GPU."""

import sys
from contextlib import closing
from functools import partial
from typing import Any

import click

from hambatch.backends.tensorrt.options import BuildOptions
from hambatch.cli.help import Command
from hambatch.cli.messages import say
from hambatch.cli.parameters import option_of
from hambatch.engines.backend_names import BACKEND_OF_GPU, OF_BACKEND


class PhaseBars:
    """A bar for each phase that runs, the innermost lowest; TensorRT names the phases."""

    def __init__(self, *, silent: bool) -> None:
        self._silent = silent
        self._bars: dict[str, Any] = {}

    def start(self, phase: str, steps: int) -> None:
        """Draw a bar."""
        from tqdm import tqdm

        self.finish(phase)
        self._bars[phase] = tqdm(
            total=steps,
            desc=phase,
            unit=" steps",
            position=len(self._bars),
            leave=False,
            disable=self._silent,
            mininterval=0.2,
        )

    def step(self, phase: str) -> None:
        """Move a bar on."""
        if phase in self._bars:
            self._bars[phase].update()

    def finish(self, phase: str) -> None:
        """Remove a bar, if it is there."""
        bar = self._bars.pop(phase, None)
        if bar is not None:
            bar.close()

    def close(self) -> None:
        """Remove the bars that a stopped build left."""
        for phase in list(self._bars):
            self.finish(phase)


DEFAULTS = BuildOptions()


option = option_of(DEFAULTS)

EXAMPLES = """
hambatch build
hambatch build engines/mine --precision fp16 --max-batch 64
"""


@click.command(cls=Command, examples=EXAMPLES, context_settings={"show_default": True})
@click.argument("engine", default=DEFAULTS.engine)
@option(
    "--precision",
    "fp32 is without TF32; int8 is the engine's own int8 graph.",
    click.Choice(OF_BACKEND[BACKEND_OF_GPU]),
)
@option("--max-batch", "Most images per request.", click.IntRange(1, 1024))
@option("--device", "Number of the GPU.", click.IntRange(0))
@option("--workspace-megabytes", "Most scratch memory of a kernel.", click.IntRange(64, 1_000_000))
@option("--hardware-compatible", "Only kernels that all GPUs from Ampere on have; slower.")
@option("--version-compatible", "Put a small runtime into the plan that later TensorRTs load.")
@option("--rebuild", "Build it even if kept.")
def build(engine: str, **chosen: object) -> None:
    """Build the TensorRT plan of ENGINE, try it on its sentinels, and keep it.

    It is kept in a private folder of this user's, and used only on a GPU of the same model with
    this driver and TensorRT. Exit codes: 0 there is a plan; 1 it could not be built, or is
    refused; 2 wrong command line.
    """
    from hambatch.backends.tensorrt.plans.build import run_build

    options = BuildOptions(engine=engine, **chosen)  # type: ignore[arg-type]
    report = partial(say, "build")
    with closing(PhaseBars(silent=not sys.stderr.isatty())) as phases:
        report(run_build(options, report, phases))
