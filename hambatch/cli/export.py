"""`hambatch export`: Keras weights to the engine's ONNX graph, and that to INT8."""

from functools import partial
from pathlib import Path

import click

from hambatch.cli.help import Command
from hambatch.cli.messages import WARNING, say
from hambatch.cli.parameters import option_of
from hambatch.training.options import Int8Options

DEFAULT = Int8Options()

DEFAULT_SOURCE = click.core.ParameterSource.DEFAULT

ONLY_INT8 = {"data", "calibration_images", "seed", "keep_fp32", "restore_fp32"}


option = option_of(DEFAULT)

EXAMPLES = """
hambatch export engines/mine --images ./images
hambatch export engines/mine --int8 --data split.csv
"""


@click.command(cls=Command, examples=EXAMPLES, context_settings={"show_default": True})
@click.argument("engine", metavar="WEIGHTS_OR_ENGINE")
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of images to compare the graph with Keras on; the first 64 are used.",
)
@click.option("--int8", is_flag=True, help="Write model.int8.onnx, from model.onnx.")
@click.option(
    "--data",
    metavar="SPLIT",
    type=click.Path(path_type=Path),
    help="With --int8: a table of hambatch prepare; some of its training images are used.",
)
@option("--calibration-images", "With --int8: number of these images.", click.IntRange(8))
@option("--seed", "With --int8: seed of their choice.", click.IntRange(0))
@option("--keep-fp32", "With --int8: the first N convolutions stay FP32.", click.IntRange(1))
@option(
    "--restore-fp32",
    "With --int8: N others go back to FP32, those that disturb the scores most.",
    click.IntRange(0),
)
@click.pass_context
def export(
    ctx: click.Context,
    /,
    engine: str,
    images: Path | None,
    int8: bool,
    data: Path | None,
    **chosen: int,
) -> None:
    """Export an engine's model.onnx again from its model.weights.h5.

    The graph replaces the old one only if it computes what Keras computes; if it is
    another one, the INT8 graph made from the old one is removed. With --int8 the engine's
    model.onnx stays, and model.int8.onnx is made from it; activations of all calibration
    images lie in memory meanwhile.
    """
    given = {name for name in ctx.params if ctx.get_parameter_source(name) != DEFAULT_SOURCE}
    if int8 and (data is None or images is not None):
        raise click.UsageError("--int8 needs --data SPLIT and takes no --images")
    if not int8 and (images is None or given & ONLY_INT8):
        raise click.UsageError("without --int8, --images DIR is needed and nothing else taken")
    if data is not None:
        _export_int8(engine, data, Int8Options(**chosen))
    elif images is not None:
        _export_again(engine, images)


def _export_again(engine: str, images: Path) -> None:
    from hambatch.training.export.export import reexport

    folder, manifest, removed = reexport(engine, images)
    parity = manifest.variants[0].parity
    say(
        "exported",
        f"{folder / manifest.variants[0].file}: on {parity['images']} images probabilities differ "
        f"from Keras by at most {parity['fp16_stored']['max_difference']:.1e}, "
        f"{parity['fp16_stored']['label_flips']} labels change",
    )
    for variant in removed:
        say(
            "removed",
            f"the {variant.precision} graph was made from another fp32 graph and is removed.\n"
            f"Next: hambatch export {folder} --int8 --data SPLIT",
            WARNING,
        )


def _export_int8(engine: str, data: Path, options: Int8Options) -> None:
    from hambatch.training.export.int8.export import export_int8

    folder, variant = export_int8(engine, data, options, partial(say, "export"))
    say(
        "exported",
        f"{folder / variant.file}: on the {variant.parity['images']} training images it was made "
        f"with, logits differ from fp32 by {variant.parity['logit_rms_error']:.3f} (rms), "
        f"{variant.parity['label_flips']} labels change\n"
        f"Next: hambatch engines verify --gate --data {data} {engine}",
    )
