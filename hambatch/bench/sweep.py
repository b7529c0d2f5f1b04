"""What the lists of `bench engine` stand for: every combination, with nothing left open."""

from itertools import product

from hambatch.bench.inference import Setting, own_request_size
from hambatch.config import BenchEngineOptions
from hambatch.engines.choice import AUTO, choose_precision
from hambatch.engines.manifest import Manifest
from hambatch.sharing import share_cores


def combinations(options: BenchEngineOptions, manifest: Manifest) -> list[Setting]:
    """Give the product of the lists; what comes to the same is there once.

    Raises
    ------
    EngineError
        If the engine lacks a precision.
    """
    lists = (
        options.backend,
        options.precision,
        options.batch_size,
        options.streams,
        options.threads,
    )
    return list(dict.fromkeys(_setting(manifest, *values) for values in product(*lists)))


def single_streams(settings: list[Setting]) -> list[Setting]:
    """Give those that differ where one request at a time is in flight: in one stream."""
    alone = (Setting(s.backend, s.precision, s.batch_size, 1, s.threads_a_stream) for s in settings)
    return list(dict.fromkeys(alone))


def used_precision(manifest: Manifest, backend: str, wanted: str) -> str:
    """Resolve ``auto`` as a run does; any other that the engine has may be measured.

    Raises
    ------
    EngineError
        If the engine has no such graph.
    """
    if wanted == AUTO:
        return choose_precision(manifest, backend, wanted).used
    return manifest.variant(wanted).precision


def _setting(
    manifest: Manifest, backend: str, precision: str, batch_size: int, streams: int, threads: int
) -> Setting:
    cores = share_cores().streams
    return Setting(
        backend,
        used_precision(manifest, backend, precision),
        batch_size or own_request_size(backend),
        streams or max(1, cores // threads),
        threads,
    )


def plural(count: int, thing: str) -> str:
    """Say ``1 stream``, ``2 streams``."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
