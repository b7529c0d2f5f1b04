"""`hambatch bench pipeline`: reading alone; reading, decoding and resizing."""

from itertools import product
from pathlib import Path
from typing import Any

from hambatch.bench import verdict
from hambatch.bench.child import Task
from hambatch.bench.decoding import Decoding, Reading, as_groups
from hambatch.bench.material import Material, open_material
from hambatch.bench.result import document, throughput_entry
from hambatch.bench.rounds import Show, take_turns, unseen
from hambatch.bench.sweep import plural
from hambatch.config import BenchPipelineOptions, ScoreOptions
from hambatch.engines.loading import load_engine
from hambatch.engines.store import find_engine
from hambatch.sharing import share_cores


def bench_pipeline(
    source: Path | None, options: BenchPipelineOptions, show: Show = unseen
) -> dict[str, Any]:
    """Measure both over every combination; returns the result.

    Raises
    ------
    HambatchError
        If the images or the engine, which says how to resize, cannot be used.
    """
    folder = find_engine(options.engine)
    engine = load_engine(folder)
    scoring = ScoreOptions.on_cpu(engine=str(folder))
    with open_material(source, options.count, scoring) as material:
        entries = _measured(folder, material, options, show)
        decoded = [entry for entry in entries if entry["stage"] == "decode"]
        said = verdict.of_throughput(decoded)
        said += f"; reading alone: {verdict.rate(entries[0]['median'])}"
        return document("pipeline", engine, material, options, entries, said)


def _measured(
    engine: Path, material: Material, options: BenchPipelineOptions, show: Show
) -> list[dict[str, Any]]:
    tasks: dict[str, Task] = {"read": reading(material, options.count, options)}
    settings: dict[str, dict[str, int]] = {"read": {"readers": options.readers}}
    threads = [share_cores(decode_threads=n).decode_threads for n in options.decode_threads]
    for size, count in product(options.batch_size, dict.fromkeys(threads)):
        key = f"batch {size}, {plural(count, 'decode thread')}"
        groups = as_groups(material.groups(options.count, size))
        tasks[key] = Decoding(engine, groups, options.readers, count)
        settings[key] = {"batch_size": size, "decode_threads": count, "readers": options.readers}
    measured = take_turns(tasks, options.repeats, show)
    read, *others = tasks
    return [
        throughput_entry(
            f"read, {plural(options.readers, 'reader')}", "read", settings[read], measured[read]
        ),
        *(
            throughput_entry(
                f"{measured[key].label}, {key}",
                "decode",
                {"decoder": measured[key].label, **settings[key]},
                measured[key],
            )
            for key in others
        ),
    ]


def reading(material: Material, count: int, options: BenchPipelineOptions) -> Reading:
    """Build the task of reading, in groups of the first batch size."""
    return Reading(as_groups(material.groups(count, options.batch_size[0])), options.readers)
