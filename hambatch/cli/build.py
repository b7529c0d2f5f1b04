"""`hambatch build`: an engine's ONNX to a TensorRT plan for one GPU."""

import sys
from functools import partial

import click

from hambatch.config import BuildOptions

DEFAULTS = BuildOptions()


@click.command(context_settings={"show_default": True})
@click.argument("engine", default=DEFAULTS.engine)
@click.option(
    "--precision",
    default=DEFAULTS.precision,
    type=click.Choice(["fp32", "fp16", "int8"]),
    help="fp32 is without TF32; int8 is the engine's own int8 graph.",
)
@click.option(
    "--max-batch",
    default=DEFAULTS.max_batch,
    type=click.IntRange(1, 1024),
    help="Most images a request.",
)
@click.option(
    "--device", default=DEFAULTS.device, type=click.IntRange(0), help="Number of the GPU."
)
@click.option(
    "--workspace-megabytes",
    default=DEFAULTS.workspace_megabytes,
    type=click.IntRange(64, 1_000_000),
    help="Most scratch memory of a kernel.",
)
@click.option(
    "--hardware-compatible",
    is_flag=True,
    default=DEFAULTS.hardware_compatible,
    help="Only kernels that all GPUs from Ampere on have; slower.",
)
@click.option(
    "--version-compatible",
    is_flag=True,
    default=DEFAULTS.version_compatible,
    help="Put a small runtime into the plan that later TensorRTs load.",
)
@click.option("--rebuild", is_flag=True, default=DEFAULTS.rebuild, help="Build it even if kept.")
def build(engine: str, **chosen: object) -> None:
    """Build the TensorRT plan of ENGINE, try it on known pictures, and keep it.

    It is kept in a private folder of this user's, and used only on a GPU of the same model with
    this driver and TensorRT. Exit codes: 0 there is a plan; 1 it could not be built, or is
    refused; 2 usage.
    """
    from hambatch.cli.build_progress import showing_phases
    from hambatch.plans.command import build_plan_of

    options = BuildOptions(engine=engine, **chosen)  # type: ignore[arg-type]
    tell = partial(click.echo, file=sys.stderr)
    with showing_phases() as phases:
        tell(build_plan_of(options, tell, phases))
