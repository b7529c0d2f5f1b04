"""What the lists of `bench engine` stand for: every combination, with nothing left open."""

from dataclasses import replace
from itertools import product

from hambatch.backends.tensorrt_gpu import MOST_SLOTS
from hambatch.bench.devices import measured_gpu
from hambatch.bench.inference import Setting, own_request_size
from hambatch.bench.options import BenchEngineOptions
from hambatch.engines.choice import AUTO, BACKEND_OF_GPU, FP16, choose_precision
from hambatch.engines.manifest import Manifest
from hambatch.gpu.probe import Gpu
from hambatch.sharing import share_cores


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
