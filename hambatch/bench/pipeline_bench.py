"""`hambatch bench pipeline`: reading alone; reading, decoding and resizing."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from hambatch.bench import report as verdict
from hambatch.bench.decoding import Decoding, Reading, as_groups
from hambatch.bench.machine import gpu_facts, measured_gpu
from hambatch.bench.material import Material, open_material
from hambatch.bench.measuring import Show, Task, take_turns, unseen
from hambatch.bench.options import BenchPipelineOptions
from hambatch.bench.result import document, throughput_entry
from hambatch.engines.loading import find_engine, load_engine
from hambatch.pipelines.options import DEFAULTS, DecoderOptions
from hambatch.score.options import ScoreOptions
from hambatch.score.plan import AUTO
from hambatch.system.cpu import share_cores
from hambatch.system.text import plural


def bench_pipeline(
    source: Path | None, options: BenchPipelineOptions, show: Show = unseen
) -> dict[str, Any]:
    """Measure both over every combination; returns the result.

    Raises
    ------
    HambatchError
        If the images, the engine, which says how to resize, or the device cannot be used.
    """
    folder = find_engine(options.engine)
    engine = load_engine(folder)
    gpu = measured_gpu(options.device, AUTO)
    number, facts = (gpu.ordinal, gpu_facts(gpu.ordinal, engine)) if gpu else (None, None)
    scoring = ScoreOptions.on_cpu(engine=str(folder))
    with open_material(source, options.count, scoring) as material:
        entries = _measured(folder, material, options, number, show)
        decoded = [entry for entry in entries if entry["stage"] == "decode"]
        said = verdict.of_throughput(decoded)
        said += f"; reading alone: {verdict.rate(entries[0]['median'])}"
        return document("pipeline", engine, material, options, entries, said, gpu=facts)


@dataclass(frozen=True)
class _Case:
    """One combination; ``load`` is None on the CPU, where it means nothing."""

    size: int
    threads: int
    load: float | None

    @property
    def name(self) -> str:
        """As people say it."""
        said = f"batch {self.size}, {plural(self.threads, 'decode thread')}"
        return said if self.load is None else f"{said}, hw_decoder_load {self.load:g}"

    def task(
        self, engine: Path, material: Material, options: BenchPipelineOptions, gpu: int | None
    ) -> Decoding:
        """Build what measures it."""
        groups = as_groups(material.groups(options.count, self.size))
        decoder = DEFAULTS if self.load is None else DecoderOptions(hw_decoder_load=self.load)
        return Decoding(engine, groups, options.readers, self.threads, gpu, decoder)

    def settings(self, readers: int, gpu: int | None) -> dict[str, str | int | float]:
        """What the result says of it."""
        facts: dict[str, str | int | float] = {
            "batch_size": self.size,
            "decode_threads": self.threads,
            "readers": readers,
        }
        if gpu is not None and self.load is not None:
            facts |= {"gpu": gpu, "hw_decoder_load": self.load}
        return facts


def _cases(options: BenchPipelineOptions, gpu: int | None) -> list[_Case]:
    counts = [share_cores(decode_threads=n).decode_threads for n in options.decode_threads]
    loads: tuple[float | None, ...] = (None,) if gpu is None else options.hw_decoder_load
    every = product(options.batch_size, dict.fromkeys(counts), loads)
    return [_Case(*values) for values in every]


def _measured(
    engine: Path, material: Material, options: BenchPipelineOptions, gpu: int | None, show: Show
) -> list[dict[str, Any]]:
    cases = _cases(options, gpu)
    tasks: dict[str, Task] = {"read": reading(material, options.count, options)}
    tasks |= {case.name: case.task(engine, material, options, gpu) for case in cases}
    measured = take_turns(tasks, options.repeats, show)
    name, settings = f"read, {plural(options.readers, 'reader')}", {"readers": options.readers}
    entries = [throughput_entry(name, "read", settings, measured["read"])]
    for case in cases:
        found = measured[case.name]
        facts = {"decoder": found.label, **case.settings(options.readers, gpu)}
        entries.append(throughput_entry(f"{found.label}, {case.name}", "decode", facts, found))
    return entries


def reading(material: Material, count: int, options: BenchPipelineOptions) -> Reading:
    """Build the task of reading, in groups of the first batch size."""
    return Reading(as_groups(material.groups(count, options.batch_size[0])), options.readers)
