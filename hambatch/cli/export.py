"""`hambatch export`: Keras weights to the engine's ONNX graph."""

from pathlib import Path

import click

from hambatch.export.reexport import reexport


@click.command()
@click.argument("engine", metavar="WEIGHTS_OR_ENGINE")
@click.option(
    "--images",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of images to compare the graph with Keras on; the first 64 are used.",
)
def export(engine: str, images: Path) -> None:
    """Export an engine's model.onnx again from its model.weights.h5.

    The graph replaces the old one only if it computes what Keras computes.
    """
    folder, manifest = reexport(engine, images)
    parity = manifest.variants[0].parity
    click.echo(
        f"{folder / manifest.variants[0].file}: on {parity['images']} images probabilities differ "
        f"from Keras by at most {parity['fp16_stored']['max_difference']:.1e}, "
        f"{parity['fp16_stored']['label_flips']} labels change",
        err=True,
    )
