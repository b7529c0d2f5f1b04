"""NNCF's INT8 graphs: several of one pass over the calibration images, and accuracy control's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from quantiser_task import Task, as_input

from hambatch.training.export.int8.running import logits_of

KEPT = 0.99
"""Share of labels that accuracy control has to keep: half of what the gate lets flip."""

CONTROL_CALIBRATION, CONTROL_RANKING = 300, 50
"""Images that accuracy control calibrates on, and on which it ranks the layers."""


@dataclass(frozen=True)
class Way:
    """How NNCF quantises.

    ``layers`` ``same``: only the convolutions that hambatch's graph has in INT8. ``sums``: the same
    layers stay FP32, NNCF chooses what else is INT8, such as sums. ``all``: all that it can.
    ``fast``: fast bias correction, its default, else the accurate one. ``fix``: all weights in 7
    bits, so that no product saturates; by default only those of the first layer.
    """

    layers: str
    fast: bool = True
    fix: bool = False


def quantise(
    ways: Mapping[str, Way], task: Task, paths: Mapping[str, Path], done: Callable[[str], None]
) -> None:
    """Make graphs as ``nncf.quantize`` does, but with one pass over the images for all of them.

    NNCF has no documented way to do so: its classes are called as in its release 3.4.0.
    """
    from nncf.openvino.graph.nncf_graph_builder import GraphConverter
    from nncf.quantization.algorithms.pipeline import collect_statistics
    from nncf.quantization.algorithms.post_training.algorithm import PostTrainingQuantization

    images, model = dataset_of(task.images), read(task)
    graph = GraphConverter.create_nncf_graph(model)
    count = len(task.images)
    algorithms = {
        name: PostTrainingQuantization(**options(ways[name], task, model, count)) for name in paths
    }
    points = [each.get_statistic_points(model, graph) for each in algorithms.values()]
    seen = collect_statistics(points, model, graph, images)
    for name, algorithm in algorithms.items():
        save(algorithm.apply(model, graph, statistic_points=seen, dataset=images), paths[name])
        done(name)


def read(task: Task) -> Any:
    """Read the FP32 graph as OpenVINO's: in NNCF 3.4.0 accurate bias correction fails on ONNX's."""
    return openvino.convert_model(task.fp32)  # folds what is constant, as NNCF expects


def save(model: Any, path: Path) -> None:
    """Save OpenVINO's graph under the name of an ONNX graph, with OpenVINO's endings."""
    openvino.save_model(model, path.with_suffix(".xml"), compress_to_fp16=False)


def options(way: Way, task: Task, model: Any, count: int) -> dict[str, Any]:
    """Put NNCF's options together; the preset is its default, made explicit."""
    import nncf
    from nncf.quantization import advanced_parameters as advanced

    kept, sums = names_of(model, task.layers)
    scopes = {
        "same": nncf.IgnoredScope(names=[*kept, *sums]),
        "sums": nncf.IgnoredScope(names=kept),
        "all": nncf.IgnoredScope(),
    }
    overflow = advanced.OverflowFix.ENABLE if way.fix else advanced.OverflowFix.FIRST_LAYER
    return {
        "preset": nncf.QuantizationPreset.PERFORMANCE,
        "subset_size": count,
        "fast_bias_correction": way.fast,
        "ignored_scope": scopes[way.layers],
        "advanced_parameters": advanced.AdvancedQuantizationParameters(overflow_fix=overflow),
    }


def names_of(model: Any, layers: Sequence[str]) -> tuple[list[str], list[str]]:
    """Name OpenVINO's operations for those layers of the ONNX graph, and all sums of branches."""
    kept, sums = [], []
    for node in model.get_ordered_ops():
        name, kind = node.get_friendly_name(), node.get_type_name()
        if kind in {"Convolution", "MatMul"} and name.removesuffix("/WithoutBiases") in layers:
            kept.append(name)
        if kind == "Add" and all(reads_images(port) for port in node.input_values()):
            sums.append(name)
    if len(kept) != len(layers):
        raise SystemExit(f"{len(kept)} of {len(layers)} layers found in OpenVINO's graph")
    return kept, sums


def reads_images(port: Any) -> bool:
    """Tell a value that depends on the images from a stored one."""
    node = port.get_node()
    if node.get_type_name() in {"Constant", "ShapeOf"}:
        return False
    inputs = node.input_values()
    return not inputs or any(map(reads_images, inputs[:1]))


def control(task: Task, path: Path) -> None:
    """Quantise all layers, and let NNCF take back the worst until enough labels are kept."""
    import nncf
    from nncf.quantization import advanced_parameters as advanced

    step = max(1, len(task.images) // CONTROL_CALIBRATION)
    images = task.images[::step][:CONTROL_CALIBRATION]
    model = read(task)
    how = options(Way("all"), task, model, len(images))
    made = nncf.quantize_with_accuracy_control(
        model,
        dataset_of(images),
        dataset_of(task.others),
        labels_kept(task),
        max_drop=1 - KEPT,
        advanced_quantization_parameters=how.pop("advanced_parameters"),
        advanced_accuracy_restorer_parameters=advanced.AdvancedAccuracyRestorerParameters(
            ranking_subset_size=CONTROL_RANKING
        ),
        **how,
    )
    save(made, path)


def dataset_of(images: np.ndarray) -> Any:
    """Give images to NNCF one at a time."""
    import nncf

    return nncf.Dataset(list(images), as_input)


def labels_kept(task: Task) -> Callable[[Any, Any], tuple[float, list[list[np.ndarray]]]]:
    """Return NNCF's measure: the share of FP32's labels that a compiled graph keeps.

    The logits come with it: by their error NNCF ranks the layers.
    """
    wanted = logits_of(task.fp32.read_bytes(), task.others).argmax(axis=1)

    def measure(compiled: Any, images: Any) -> tuple[float, list[list[np.ndarray]]]:
        found = [compiled(image[None])["logits"].copy() for image in images]
        labels = np.concatenate(found).argmax(axis=1)
        kept = (labels == wanted[: len(found)]).mean()
        return float(kept), [[logits] for logits in found]

    return measure
