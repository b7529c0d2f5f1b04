"""hambatch's run at its marginal rate: what each further image costs, two runs compared.

The seconds from the first batch sent to the last row received, of all images less those of
the first quarter. So what a run does once (sentinels at its start, and at its end one in
every slot) is left out, and sentinels among the images are in it: they are cost, and no
images. Listing, journal and table are not part of it: see :mod:`contenders.hambatch_command`.
How fast a precision is does not depend on whether its accuracy gate passed here, so it is forced.
"""

from collections.abc import Callable

from contenders.meter import Meter, Run, Spent
from contenders.task import Setting, Task
from hambatch.engines.loading import load_engine
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.scoring.rows import rows_of
from hambatch.scoring.sentinels.watch import SentinelWatch
from hambatch.scoring.worker.supervisor import SupervisedWorker
from hambatch.sources.entry import Entry
from hambatch.sources.source import folder_of_images
from hambatch.system.text import encode_name


def settings(task: Task) -> list[Setting]:
    """As it is out of the box."""
    return [{"batch_size": ScoreOptions().batch_size}]


def build(task: Task, setting: Setting) -> Callable[[], Run]:
    """Every run has a worker of its own, and every picture has to get its row."""
    options = ScoreOptions(
        precision=task.precision, force=True, batch_size=int(setting["batch_size"])
    )
    engine = load_engine(task.engine)

    sources = folder_of_images(task.root)

    def scored(names: tuple[str, ...]) -> Spent:
        images = [Entry(encode_name(name)) for name in names]
        with SupervisedWorker(plan_run(engine.folder, options).job) as worker:
            worker.wait_ready()
            meter = Meter()
            backend = f"openvino-{task.precision}"
            watched = engine, options.batch_size, options.sentinel_every, backend
            with SentinelWatch(*watched) as watch:
                groups = rows_of(worker, enumerate(images), sources, engine.manifest, watch)
                rows = [row for _, group in groups for _, row in group]
            spent = meter.spent()
        assert [row.status for row in rows] == ["ok"] * len(names)
        return spent

    def run() -> Run:
        few = task.names[: len(task.names) // 4]
        first = scored(few)
        return Run(len(task.names) - len(few), scored(task.names).less(first))

    return run
