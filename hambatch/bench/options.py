"""Every default of `bench`, once: option name = field name."""

from dataclasses import dataclass

from hambatch.pipelines.options import DecoderOptions
from hambatch.scoring.options import ScoreOptions

REPEATS_AT_MOST = 1000
"""A machine on which these do not show a change cannot show it."""


@dataclass(frozen=True)
class BenchEngineOptions:
    """`hambatch bench engine`: every combination of what the tuples hold is measured.

    ``batch_size`` (images a request) and ``streams`` 0 mean: what `score` uses;
    ``threads`` are a stream's. ``samples`` 0: as many latencies as ``percentile``
    needs; ``max_seconds`` bounds their measuring, for each combination.
    ``device`` ``auto`` is where each backend computes: of several GPUs, the first.
    """

    engine: str = ScoreOptions.engine
    device: str = ScoreOptions.device
    backend: tuple[str, ...] = ("openvino",)
    precision: tuple[str, ...] = (ScoreOptions.precision,)
    batch_size: tuple[int, ...] = (0,)
    streams: tuple[int, ...] = (0,)
    threads: tuple[int, ...] = (1,)
    percentile: float = 99.0
    samples: int = 0
    max_seconds: float = 60.0
    repeats: int = 5
    count: int = 128


@dataclass(frozen=True)
class BenchPipelineOptions:
    """`hambatch bench pipeline`: ``decode_threads`` 0 means one a core.

    ``hw_decoder_load`` changes nothing on the CPU, and is not swept there.
    """

    engine: str = ScoreOptions.engine
    device: str = "cpu"
    batch_size: tuple[int, ...] = (ScoreOptions.batch_size,)
    decode_threads: tuple[int, ...] = (ScoreOptions.decode_threads,)
    hw_decoder_load: tuple[float, ...] = (DecoderOptions.hw_decoder_load,)
    readers: int = ScoreOptions.readers
    repeats: int = 5
    count: int = 128


@dataclass(frozen=True)
class BenchScoreOptions:
    """`hambatch bench score`: one setting of `hambatch score`, its stages and the whole.

    More images than the others: in a long run the sentinels at its start and end weigh less.
    """

    engine: str = ScoreOptions.engine
    device: str = ScoreOptions.device
    backend: str = ScoreOptions.backend
    precision: str = ScoreOptions.precision
    batch_size: int = ScoreOptions.batch_size
    threads: int = ScoreOptions.threads
    streams: int = ScoreOptions.streams
    decode_threads: int = ScoreOptions.decode_threads
    readers: int = ScoreOptions.readers
    hw_decoder_load: float = DecoderOptions.hw_decoder_load
    repeats: int = 5
    count: int = 512


@dataclass(frozen=True)
class BenchCompareOptions:
    """`hambatch bench compare`; ``change`` is the smallest that matters, in percent."""

    change: float = 3.0
