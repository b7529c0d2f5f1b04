"""`hambatch bench pipeline`: reading alone; reading, decoding and resizing."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from hambatch.bench.decoding import Decoding, Reading
from hambatch.bench.images import BenchImages, open_images
from hambatch.bench.machine import gpu_facts, measured_gpu
from hambatch.bench.measuring import Case, Show, measure, unseen
from hambatch.bench.options import BenchPipelineOptions
from hambatch.bench.report import rate, throughput_verdict
from hambatch.bench.result import document, throughput_entry
from hambatch.engines.loading import find_engine, load_engine
from hambatch.pipelines.options import DecoderOptions
from hambatch.scoring.device_names import AUTO
from hambatch.scoring.options import ScoreOptions
from hambatch.system.cpu import share_cores


def bench_pipeline(
    words: Sequence[Path], options: BenchPipelineOptions, show: Show = unseen
) -> dict[str, Any]:
    """Measure both over every combination; returns the result.

    Without a word, which names a source, with generated images.

    Raises HambatchError if the images, the engine or the device cannot be used.
    """
    folder = find_engine(options.engine)
    engine = load_engine(folder)
    gpu = measured_gpu(options.device, AUTO)
    number, facts = (gpu.ordinal, gpu_facts(gpu.ordinal, engine)) if gpu else (None, None)
    scoring = ScoreOptions.on_cpu(engine=str(folder))
    with open_images(words, options.count, scoring) as images:
        cases = cases_of(folder, images, options, number)
        entries = [throughput_entry(*done) for done in measure(cases, options.repeats, show)]
        read, *decoded = entries
        verdict = f"{throughput_verdict(decoded)}; reading alone: {rate(read['median'])}"
        return document("pipeline", engine, images, options, entries, verdict, gpu=facts)


def cases_of(
    engine: Path, images: BenchImages, options: BenchPipelineOptions, gpu: int | None
) -> list[Case]:
    """Reading, in batches of the first size, and every combination of decoding."""
    first, readers = images.batches(options.count, options.batch_size[0]), options.readers
    cases = [Reading(first, readers).case()]
    counts = [share_cores(decode_threads=n).decode_threads for n in options.decode_threads]
    # On the CPU the load means nothing.
    loads = options.hw_decoder_load[: None if gpu is not None else 1]
    for size, threads, load in product(options.batch_size, counts, loads):
        batches = images.batches(options.count, size)
        decoder = DecoderOptions(hw_decoder_load=load)
        cases.append(Decoding(engine, batches, readers, threads, gpu, decoder).case(size))
    return cases
