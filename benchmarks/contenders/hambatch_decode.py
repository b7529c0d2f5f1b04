"""hambatch's reading and decoding alone, with all that it checks, on all cores."""

from collections.abc import Callable

from contenders.meter import Meter, Run
from contenders.task import Setting, Task
from hambatch.engines.manifest import read_manifest
from hambatch.pipelines.scoring import build_pipeline
from hambatch.scoring.options import ScoreOptions
from hambatch.sources.reading import Item, read_ahead


def settings(task: Task) -> list[Setting]:
    """As `hambatch score` does it out of the box."""
    options = ScoreOptions()
    return [{"batch_size": options.batch_size, "threads": task.cores, "prefetch": options.prefetch}]


def build(task: Task, setting: Setting) -> Callable[[], Run]:
    """Read and decode every file, and throw the pixels away."""
    manifest, size = read_manifest(task.engine), int(setting["batch_size"])
    threads, prefetch = int(setting["threads"]), int(setting["prefetch"])
    items = [Item(k, task.root / name) for k, name in enumerate(task.names)]
    groups = [items[start : start + size] for start in range(0, len(items), size)]

    def run() -> Run:
        pipeline = build_pipeline(size, threads, prefetch, manifest.input, manifest.preprocessing)
        meter = Meter()
        batches = pipeline.batches(read_ahead(groups, ScoreOptions().readers))
        decoded = sum(len(batch.indices) for batch in batches)
        spent = meter.spent()
        assert decoded == len(items)
        return Run(decoded, spent)

    return run
