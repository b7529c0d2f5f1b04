"""`hambatch bench engine`: inference alone, over every combination of settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hambatch.bench import verdict
from hambatch.bench.child import Child, Task
from hambatch.bench.decoding import Unpacking, as_groups
from hambatch.bench.devices import gpu_facts
from hambatch.bench.inference import BATCH, Offline, Setting, SingleStream
from hambatch.bench.material import Material, open_material
from hambatch.bench.options import BenchEngineOptions
from hambatch.bench.percentiles import samples_needed
from hambatch.bench.result import document, key_of, latency_entry, throughput_entry
from hambatch.bench.rounds import Show, take_turns, unseen
from hambatch.bench.sweep import combinations, single_streams
from hambatch.config import ScoreOptions
from hambatch.engines.loading import Engine, load_engine
from hambatch.engines.store import find_engine
from hambatch.gpu.choosing import usable_gpu
from hambatch.plural import plural
from hambatch.sharing import share_cores

PIXELS_AT_MOST = 256
"""Different images that are kept in memory, 150 kB each; then the first again."""


def bench_engine(
    source: Path | None, options: BenchEngineOptions, show: Show = unseen
) -> dict[str, Any]:
    """Measure throughput and single-stream latency; returns the result.

    Raises
    ------
    HambatchError
        If the images, the engine or a combination cannot be used.
    """
    folder = find_engine(options.engine)
    engine = load_engine(folder)
    settings = combinations(options, engine.manifest)
    gpu = ready_gpu(engine, settings)
    scoring = ScoreOptions.on_cpu(engine=str(folder))
    with open_material(source, min(options.count, PIXELS_AT_MOST), scoring) as material:
        pixels = unpack(folder, material)
        throughput = _throughput(folder, settings, pixels, options, show)
        latency = _latency(folder, single_streams(settings), pixels, options, show)
        said = "; ".join(
            [
                verdict.of_throughput(throughput),
                verdict.of_latency(latency, key_of(options.percentile)),
            ]
        )
        return document("engine", engine, material, options, throughput, said, latency, gpu=gpu)


def ready_gpu(engine: Engine, settings: Sequence[Setting]) -> Mapping[str, Any] | None:
    """Build the TensorRT plans that are not kept, and name the GPU; None where none is measured.

    Raises
    ------
    HambatchError
        If one cannot be built.
    """
    from hambatch.plans.ensuring import ensure_plan

    there = [setting for setting in settings if setting.gpu is not None]
    if not there:
        return None
    ordinal = there[0].gpu or 0
    gpu, _ = usable_gpu(ordinal)
    plans = list(dict.fromkeys((one.precision, one.batch_size) for one in there))
    for precision, size in plans:
        ensure_plan(engine, precision, gpu, size)
    return gpu_facts(ordinal, engine, plans)


def unpack(engine: Path, material: Material) -> Path:
    """Decode the images once; gives the file of arrays."""
    pixels = material.scratch / "pixels.npy"
    groups = as_groups(material.groups(len(material.names), BATCH))
    threads = share_cores().decode_threads
    with Child(Unpacking(engine, groups, ScoreOptions.readers, threads, pixels=pixels)) as child:
        child.turn()
    return pixels


def _throughput(
    engine: Path, settings: list[Setting], pixels: Path, options: BenchEngineOptions, show: Show
) -> list[dict[str, Any]]:
    named = {name_of(setting): setting for setting in settings}
    tasks: dict[str, Task] = {
        name: Offline(engine, setting, pixels, options.count) for name, setting in named.items()
    }
    measured = take_turns(tasks, options.repeats, show)
    return [
        throughput_entry(name, "inference", setting.facts, measured[name])
        for name, setting in named.items()
    ]


def _latency(
    engine: Path, settings: list[Setting], pixels: Path, options: BenchEngineOptions, show: Show
) -> list[dict[str, Any]]:
    named = {f"{name_of(setting)}, one at a time": setting for setting in settings}
    samples = -(-(options.samples or samples_needed(options.percentile)) // options.repeats)
    seconds = options.max_seconds / options.repeats
    tasks: dict[str, Task] = {
        name: SingleStream(engine, setting, pixels, samples, seconds)
        for name, setting in named.items()
    }
    measured = take_turns(tasks, options.repeats, show)
    return [
        latency_entry(name, "inference", setting.facts, measured[name], options.percentile)
        for name, setting in named.items()
    ]


def name_of(setting: Setting) -> str:
    """Name a combination as people say it."""
    return (
        f"{setting.backend}-{setting.precision}, batch {setting.batch_size}, "
        f"{plural(setting.streams, 'stream')} x {plural(setting.threads_a_stream, 'thread')}"
    )
