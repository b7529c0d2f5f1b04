"""`hambatch bench engine`: inference alone, over every combination of settings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from hambatch.backends.tensorrt.backend import MOST_SLOTS
from hambatch.bench.decoding import Unpacking
from hambatch.bench.images import BenchImages, open_images
from hambatch.bench.inference import BATCH, Offline, Setting, SingleStream, own_request_size
from hambatch.bench.machine import gpu_facts, measured_gpu
from hambatch.bench.measuring import Show, child_of, measure, unseen
from hambatch.bench.options import BenchEngineOptions
from hambatch.bench.report import latency_verdict, throughput_verdict
from hambatch.bench.result import document, key_of, latency_entry, samples_needed, throughput_entry
from hambatch.engines.backend_names import BACKEND_OF_GPU, graph_precision
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.manifest import Manifest
from hambatch.engines.precision import choose_precision
from hambatch.scoring.options import ScoreOptions
from hambatch.system.cpu import share_cores
from hambatch.system.gpus import usable_gpu

PIXELS_AT_MOST = 256
"""Different images that are kept in memory, 150 kB each; then the first again."""


def bench_engine(
    words: Sequence[Path], options: BenchEngineOptions, show: Show = unseen
) -> dict[str, Any]:
    """Measure throughput and single-stream latency; returns the result.

    Without a word, which names a source, with generated images.

    Raises HambatchError if the images, the engine or a combination cannot be used.
    """
    folder = find_engine(options.engine)
    engine = load_engine(folder)
    settings = combinations(options, engine.manifest)
    gpu = ready_gpu(engine, settings)
    scoring = ScoreOptions.on_cpu(engine=str(folder))
    with open_images(words, min(options.count, PIXELS_AT_MOST), scoring) as images:
        pixels = unpack(folder, images)
        offline = [Offline(folder, setting, pixels, options.count).case() for setting in settings]
        throughput = [throughput_entry(*done) for done in measure(offline, options.repeats, show)]
        samples = -(-(options.samples or samples_needed(options.percentile)) // options.repeats)
        seconds = options.max_seconds / options.repeats
        single = [
            SingleStream(folder, setting, pixels, samples, seconds).case()
            for setting in single_streams(settings)
        ]
        latency = [
            latency_entry(*done, options.percentile)
            for done in measure(single, options.repeats, show)
        ]
        lowest = latency_verdict(latency, key_of(options.percentile))
        verdict = f"{throughput_verdict(throughput)}; {lowest}"
        return document("engine", engine, images, options, throughput, verdict, latency, gpu=gpu)


def combinations(options: BenchEngineOptions, manifest: Manifest) -> list[Setting]:
    """Give the product of the lists; equal settings once.

    Raises
    ------
    EngineError
        If the engine lacks a precision.
    HambatchError
        If a backend does not compute on the device of ``--device``.
    """
    cores, found = share_cores().streams, []
    gpus = {name: measured_gpu(options.device, name) for name in options.backend}
    lists = options.precision, options.batch_size, options.streams, options.threads
    for (backend, gpu), precision, size, streams, threads in product(gpus.items(), *lists):
        setting = Setting(
            backend,
            used_precision(manifest, backend, precision),
            size or own_request_size(backend),
            streams_of(backend, streams or max(1, cores // threads)),
            threads,
            gpu.ordinal if gpu else None,
        )
        found.append(setting)
    return list(dict.fromkeys(found))


def single_streams(settings: list[Setting]) -> list[Setting]:
    """Give those that differ with one request at a time in flight: in one stream."""
    return list(dict.fromkeys(replace(setting, streams=1) for setting in settings))


def used_precision(manifest: Manifest, backend: str, wanted: str) -> str:
    """Resolve ``auto`` as a run does; any other that the engine has may be measured.

    Raises EngineError if the engine has no such graph, or the backend does not make it;
    BackendError if the processor does not compute it.
    """
    used = choose_precision(manifest, backend, wanted, force=True).used
    manifest.variant(graph_precision(used))
    return used


def streams_of(backend: str, streams: int) -> int:
    """Limit the streams to those that a backend makes."""
    return min(streams, MOST_SLOTS) if backend == BACKEND_OF_GPU else streams


def ready_gpu(engine: Engine, settings: Sequence[Setting]) -> Mapping[str, Any] | None:
    """Build the TensorRT plans that are missing, and describe the GPU; None where none is measured.

    Raises HambatchError if a plan cannot be built.
    """
    from hambatch.backends.tensorrt.plans.build import ensure_plan

    on_gpu = [setting for setting in settings if setting.gpu is not None]
    if not on_gpu:
        return None
    ordinal = on_gpu[0].gpu or 0
    gpu, _ = usable_gpu(ordinal)
    plans = list(dict.fromkeys((one.precision, one.batch_size) for one in on_gpu))
    for precision, size in plans:
        ensure_plan(engine, precision, gpu, size)
    return gpu_facts(ordinal, engine, plans)


def unpack(engine: Path, images: BenchImages) -> Path:
    """Decode the images once; gives the file of arrays."""
    pixels = images.scratch / "pixels.npy"
    batches = images.batches(len(images.entries), BATCH)
    threads = share_cores().decode_threads
    task = Unpacking(engine, batches, ScoreOptions.readers, threads, pixels=pixels)
    with child_of(task) as decode:
        decode()
    return pixels
