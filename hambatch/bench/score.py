"""`hambatch bench score`: the stages of a run apart, and the run."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hambatch.bench.ceiling import ON_THE_CORES, Ceiling, Cores, find_ceiling
from hambatch.bench.decoding import Decoding, Reading
from hambatch.bench.engine import PIXELS_AT_MOST, ready_gpu, streams_of, unpack
from hambatch.bench.images import BenchImages, open_images
from hambatch.bench.inference import Offline, Setting, own_request_size
from hambatch.bench.machine import refuse_several
from hambatch.bench.measuring import Case, Measured, Show, measure, unseen
from hambatch.bench.options import BenchScoreOptions
from hambatch.bench.report import score_verdict
from hambatch.bench.result import document, throughput_entry
from hambatch.bench.whole_run import Whole, Writing
from hambatch.engines.loading import find_engine, load_engine
from hambatch.pipelines.options import DecoderOptions
from hambatch.scoring.device_names import numbers_in
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.system.cpu import available_cores
from hambatch.system.text import plural


def bench_score(
    words: Sequence[Path], options: BenchScoreOptions, show: Show = unseen
) -> dict[str, Any]:
    """Measure the stages and the whole, and how near that comes to its ceiling.

    Without a word, which names a source, with generated images.

    Raises HambatchError if the images, the engine or the settings cannot be used.
    """
    folder = find_engine(options.engine)
    engine = load_engine(folder)
    resolved = resolve(folder, options)
    setting = Setting(
        resolved.backend,
        resolved.precision,
        own_request_size(resolved.backend),
        resolved.streams,
        threads_a_stream=1,
        gpu=_gpu(resolved),
    )
    gpu = ready_gpu(engine, [setting])
    with open_images(words, options.count, resolved) as images:
        pixels = unpack(folder, images.first(PIXELS_AT_MOST))
        inference = Offline(folder, setting, pixels, options.count).case()
        cases = _cases(folder, images, resolved, inference, options.count)
        done = measure(cases, options.repeats, show)
        entries = [throughput_entry(case, measured) for case, measured in done]
        ceiling = _ceiling({case.stage: measured for case, measured in done}, resolved)
        verdict = score_verdict(ceiling)
        return document(
            "score", engine, images, options, entries, verdict, ceiling=ceiling, gpu=gpu
        )


def resolve(engine: Path, options: BenchScoreOptions) -> ScoreOptions:
    """Give the options of the run that is measured, resolved as a run resolves them.

    An explicit precision is measured whatever its gate says: the rows are not used.

    Raises
    ------
    InputError
        If several GPUs are named.
    HambatchError
        As :func:`hambatch.scoring.plan.plan_run` says.
    """
    refuse_several(options.device)
    given = ScoreOptions(
        engine=str(engine),
        device=options.device,
        backend=options.backend,
        precision=options.precision,
        force=True,
        batch_size=options.batch_size,
        threads=options.threads,
        streams=options.streams,
        decode_threads=options.decode_threads,
        readers=options.readers,
        decoder=DecoderOptions(hw_decoder_load=options.hw_decoder_load),
    )
    plan = plan_run(engine, given)
    return replace(
        plan.used,
        streams=streams_of(plan.used.backend, plan.job.streams),
        decode_threads=plan.job.decode_threads,
    )


def _cases(
    engine: Path, images: BenchImages, options: ScoreOptions, inference: Case, count: int
) -> list[Case]:
    size, threads, gpu = options.batch_size, options.decode_threads, _gpu(options)
    batches = images.batches(count, size)
    decoding = Decoding(engine, batches, options.readers, threads, gpu, options.decoder)
    decode = decoding.case(size)
    backend, streams = f"{options.backend}-{options.precision}", plural(options.streams, "stream")
    whole = Case(
        f"score, {backend}, batch {size}, {streams}, {decoding.how}",
        "score",
        # The batch size of a run is that of decoding.
        {**inference.settings, **decode.settings},
        Whole(engine, images.sources, images.cycle(count), options, images.scratch),
    )
    writing = Writing(images.scratch / "table.csv", count)
    return [Reading(batches, options.readers).case(), decode, inference, writing.case(), whole]


def _gpu(options: ScoreOptions) -> int | None:
    return next(iter(numbers_in(options.device)), None)


def _ceiling(measured: dict[str, Measured], options: ScoreOptions) -> Ceiling:
    count = available_cores()
    cores = Cores(
        count,
        decode=min(options.decode_threads, count),
        inference=min(options.streams, count),
        shared=options.backend in ON_THE_CORES,
    )
    read, decode, inference, score = (
        measured[stage].images_per_s for stage in ("read", "decode", "inference", "score")
    )
    turn = measured["score"].turns[0]
    return find_ceiling(cores, read, decode, inference, score, turn.sentinels / turn.images)
