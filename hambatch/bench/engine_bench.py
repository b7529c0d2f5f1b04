"""`hambatch bench engine`: inference alone, over every combination of settings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from hambatch.backends.tensorrt.backend import MOST_SLOTS
from hambatch.bench import report as verdict
from hambatch.bench.decoding import Unpacking, as_groups
from hambatch.bench.inference import BATCH, Offline, Setting, SingleStream, own_request_size
from hambatch.bench.machine import gpu_facts, measured_gpu
from hambatch.bench.material import Material, open_material
from hambatch.bench.measuring import Child, Show, Task, take_turns, unseen
from hambatch.bench.options import BenchEngineOptions
from hambatch.bench.result import document, key_of, latency_entry, samples_needed, throughput_entry
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.manifest import Manifest
from hambatch.engines.precision import AUTO, BACKEND_OF_GPU, FP16, choose_precision
from hambatch.score.options import ScoreOptions
from hambatch.system.cpu import share_cores
from hambatch.system.gpus import Gpu, usable_gpu
from hambatch.system.text import plural


def combinations(options: BenchEngineOptions, manifest: Manifest) -> list[Setting]:
    """Give the product of the lists; what comes to the same is there once.

    Raises
    ------
    EngineError
        If the engine lacks a precision.
    HambatchError
        If a backend does not compute on the device that is asked for.
    """
    gpus = {name: measured_gpu(options.device, name) for name in options.backend}
    lists = (
        gpus.items(),
        options.precision,
        options.batch_size,
        options.streams,
        options.threads,
    )
    return list(dict.fromkeys(_setting(manifest, *values) for values in product(*lists)))


def single_streams(settings: list[Setting]) -> list[Setting]:
    """Give those that differ where one request at a time is in flight: in one stream."""
    return list(dict.fromkeys(replace(setting, streams=1) for setting in settings))


def used_precision(manifest: Manifest, backend: str, wanted: str) -> str:
    """Resolve ``auto`` as a run does; any other that the engine has may be measured.

    Raises
    ------
    EngineError
        If the engine has no such graph, or the backend does not make it.
    """
    if wanted in (AUTO, FP16):
        return choose_precision(manifest, backend, wanted).used
    return manifest.variant(wanted).precision


def streams_of(backend: str, streams: int) -> int:
    """Give the streams that a backend makes where so many are asked for."""
    return min(streams, MOST_SLOTS) if backend == BACKEND_OF_GPU else streams


def _setting(
    manifest: Manifest,
    where: tuple[str, Gpu | None],
    precision: str,
    batch_size: int,
    streams: int,
    threads: int,
) -> Setting:
    backend, gpu = where
    cores = share_cores().streams
    return Setting(
        backend,
        used_precision(manifest, backend, precision),
        batch_size or own_request_size(backend),
        streams_of(backend, streams or max(1, cores // threads)),
        threads,
        gpu.ordinal if gpu else None,
    )


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
    from hambatch.backends.tensorrt.plans.build import ensure_plan

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
