"""`hambatch bench score`: the stages of a run apart, and the run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from hambatch.bench import report as verdict
from hambatch.bench.decoding import Decoding, Reading, as_groups
from hambatch.bench.engine_bench import PIXELS_AT_MOST, name_of, ready_gpu, streams_of, unpack
from hambatch.bench.inference import Offline, Setting, own_request_size
from hambatch.bench.machine import refuse_several
from hambatch.bench.material import Material, open_material
from hambatch.bench.measuring import Measured, Show, Task, take_turns, unseen
from hambatch.bench.options import BenchScoreOptions
from hambatch.bench.result import (
    ON_THE_CORES,
    Ceiling,
    Cores,
    Settings,
    document,
    find_ceiling,
    throughput_entry,
)
from hambatch.bench.whole import Whole, Writing
from hambatch.engines.loading import find_engine, load_engine
from hambatch.pipelines.options import DecoderOptions
from hambatch.score.options import ScoreOptions
from hambatch.score.plan import numbers_in, plan_run
from hambatch.system.cpu import available_cores
from hambatch.system.text import plural


def bench_score(
    source: Path | None, options: BenchScoreOptions, show: Show = unseen
) -> dict[str, Any]:
    """Measure the stages and the whole, and how near that comes to its ceiling.

    Raises
    ------
    HambatchError
        If the images, the engine or the settings cannot be used.
    """
    folder = find_engine(options.engine)
    engine = load_engine(folder)
    resolved = resolve(folder, options)
    setting = _setting(resolved)
    gpu = ready_gpu(engine, [setting])
    with open_material(source, options.count, resolved) as material:
        tasks = _tasks(folder, material, resolved, setting, options.count)
        measured = take_turns(tasks, options.repeats, show)
        entries = _entries(measured, resolved, setting)
        ceiling = _ceiling(measured, resolved, setting)
        said = verdict.of_score(ceiling)
        return document("score", engine, material, options, entries, said, ceiling=ceiling, gpu=gpu)


def resolve(engine: Path, options: BenchScoreOptions) -> ScoreOptions:
    """Give the options of the run that is measured, with nothing left open, as a run settles it.

    A precision that was asked for is measured whatever its gate says: nobody
    uses the rows.

    Raises
    ------
    InputError
        If several GPUs are asked for.
    HambatchError
        As :func:`hambatch.score.plan.plan_run` says.
    """
    refuse_several(options.device)
    asked = ScoreOptions(
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
    plan = plan_run(engine, asked)
    return replace(
        plan.used,
        streams=streams_of(plan.used.backend, plan.job.streams),
        decode_threads=plan.job.decode_threads,
    )


def _setting(options: ScoreOptions) -> Setting:
    size = own_request_size(options.backend)
    return Setting(options.backend, options.precision, size, options.streams, 1, _gpu(options))


def _gpu(options: ScoreOptions) -> int | None:
    return next(iter(numbers_in(options.device)), None)


def _tasks(
    engine: Path, material: Material, options: ScoreOptions, setting: Setting, count: int
) -> dict[str, Task]:
    groups = as_groups(material.groups(count, options.batch_size))
    names = tuple(material.names[k % len(material.names)] for k in range(count))
    pixels = unpack(engine, material.first(PIXELS_AT_MOST))
    return {
        "read": Reading(groups, options.readers),
        "decode": Decoding(
            engine,
            groups,
            options.readers,
            options.decode_threads,
            _gpu(options),
            options.decoder,
        ),
        "inference": Offline(engine, setting, pixels, count),
        "write": Writing(material.scratch / "table.csv", count),
        "score": Whole(engine, material.root, names, options, material.scratch),
    }


def _entries(
    measured: dict[str, Measured], options: ScoreOptions, setting: Setting
) -> list[dict[str, Any]]:
    decode: dict[str, str | int | float] = {
        "batch_size": options.batch_size,
        "readers": options.readers,
        "decoder": measured["decode"].label,
        "decode_threads": options.decode_threads,
    }
    threads = plural(options.decode_threads, "decode thread")
    if setting.gpu is not None:
        load = options.decoder.hw_decoder_load
        decode |= {"gpu": setting.gpu, "hw_decoder_load": load}
        threads += f", hw_decoder_load {load:g}"
    settings: dict[str, Settings] = {
        "read": {"readers": options.readers},
        "decode": decode,
        "inference": setting.facts,
        "write": {"format": measured["write"].label},
        # The batch size of a run is that of its groups.
        "score": setting.facts | decode,
    }
    size, streams = options.batch_size, plural(options.streams, "stream")
    names = {
        "read": f"read, {plural(options.readers, 'reader')}",
        "decode": f"{measured['decode'].label}, batch {size}, {threads}",
        "inference": name_of(setting),
        "write": f"write, {measured['write'].label}",
        "score": f"score, {measured['score'].label}, batch {size}, {streams}, {threads}",
    }
    return [
        throughput_entry(names[stage], stage, settings[stage], found)
        for stage, found in measured.items()
    ]


def _ceiling(measured: dict[str, Measured], options: ScoreOptions, setting: Setting) -> Ceiling:
    count = available_cores()
    cores = Cores(
        count,
        decode=min(options.decode_threads, count),
        inference=min(setting.streams, count),
        shared=options.backend in ON_THE_CORES,
    )
    read, decode, inference, score = (
        measured[stage].images_per_s for stage in ("read", "decode", "inference", "score")
    )
    turn = measured["score"].turns[0]
    known = turn.known_pictures / turn.images
    return find_ceiling(cores, read, decode, inference, score, known)
