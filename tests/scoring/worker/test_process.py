"""A worker outlives what is meant for its parent, never outlives its parent, and is heard."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from hambatch.errors import BackendError
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.scoring.worker.process import Worker, WorkerLost, _has_room
from hambatch.scoring.worker.protocol import Job
from hambatch.scoring.worker.supervisor import SupervisedWorker
from hambatch.sources.reading import Item
from tests.conftest import REPOSITORY, jpeg_bytes
from tests.faults.processes import Process, _stat
from tests.scoring.conftest import Inject
from tests.waiting import wait_for

PARENT = """
import os, signal, sys
from pathlib import Path
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.sources.reading import Item
from hambatch.scoring.worker.process import Worker
engine, image = Path(sys.argv[1]), Path(sys.argv[2])
worker = Worker(plan_run(engine, ScoreOptions(engine=str(engine), batch_size=2)).job, 30)
worker.wait_ready()
print(worker._process.pid, flush=True)
"""


@pytest.fixture
def job(tiny_engine: Path) -> Job:
    return plan_run(tiny_engine, ScoreOptions(engine=str(tiny_engine), batch_size=4)).job


def items(folder: Path, count: int) -> list[Item]:
    return [Item(k, folder / f"picture_{3 * k:02d}.jpg") for k in range(count)]


def run_parent(code: str, engine: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PARENT + code, str(engine), str(folder / "last.png")],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )


def test_a_worker_whose_parent_is_killed_with_answers_unread_ends(
    images: Path, tiny_engine: Path
) -> None:
    # The answers lie in the pipe: its other end is reset then, not closed.
    parent = run_parent(
        "for k in range(worker.ready.window + 2): worker._connection.send([Item(k, image)])\n"
        "worker._connection.poll(None)\nos.kill(os.getpid(), signal.SIGKILL)",
        tiny_engine,
        images,
    )
    assert parent.returncode == -signal.SIGKILL
    if started := _stat(int(parent.stdout)):
        left = Process(int(parent.stdout), started[19])
        wait_for(lambda: not left.alive(), "the worker ends")


def test_a_parent_that_forgets_its_worker_still_ends(images: Path, tiny_engine: Path) -> None:
    parent = run_parent("sys.keep_alive = worker", tiny_engine, images)
    assert parent.returncode == 0
    assert not _stat(int(parent.stdout))


@pytest.mark.parametrize("in_a_thread", [False, True])
def test_signals_to_the_whole_group_do_not_end_a_worker_however_young(
    images: Path, job: Job, in_a_thread: bool
) -> None:
    workers: list[Worker] = []
    if in_a_thread:
        thread = threading.Thread(target=lambda: workers.append(Worker(job, 30)))
        thread.start()
        thread.join()
    else:
        workers.append(Worker(job, 30))
    with workers[0] as worker:
        pid = worker._process.pid
        assert pid is not None
        for pause in (0.0, 0.02, 0.1, 0.3):
            time.sleep(pause)
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        worker.wait_ready()
        os.kill(pid, signal.SIGTERM)
        (answer,) = worker.answers([items(images, 2)])
    assert answer.indices.tolist() == [0, 1]
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="needs memfd_create")
def test_what_a_worker_prints_lies_in_memory_and_leaves_no_folder(
    images: Path, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A folder of its own: other runs on this machine use the common one meanwhile.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with Worker(job, 30) as worker:
        worker.wait_ready()
        assert os.readlink(f"/proc/{worker._process.pid}/fd/2").startswith("/memfd:")
        assert not list(tmp_path.glob("hambatch-*"))
        list(worker.answers([items(images, 1)]))


def test_where_nothing_lies_in_memory_a_file_without_a_name_serves(
    images: Path, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    damaged = tmp_path / "damaged.jpg"
    whole = jpeg_bytes(1, 300, 224)
    damaged.write_bytes(whole[: len(whole) // 2] + b"\xff\xd9")
    with Worker(job, 30) as worker:
        (answer,) = worker.answers([[Item(0, damaged), *items(images, 3)[1:]]])
    assert [f.reason for f in answer.failures] == ["damaged: premature end of data segment"]


def test_a_worker_that_could_not_hear_a_warning_stops_the_run(
    images: Path, job: Job, inject: Inject
) -> None:
    # The marker is made before the process can no longer write.
    inject("import resource\nfired()\nresource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n")
    with (
        Worker(job, 30) as worker,
        pytest.raises(BackendError, match=r"what the decoders print cannot be kept: File too"),
    ):
        list(worker.answers([items(images, 2)]))


def test_last_words_and_the_exception_of_a_dead_worker_are_shown(
    images: Path, job: Job, inject: Inject
) -> None:
    inject(
        "from hambatch.pipelines import scoring\n"
        "def broken(*a):\n    fired()\n    raise LookupError('our own bug')\n"
        "scoring.ScoringPipeline._finish = broken\n"
    )
    with Worker(job, 30) as worker, pytest.raises(WorkerLost) as lost:
        list(worker.answers([items(images, 2)]))
    assert lost.value.cause == "died with exit code 1"
    assert "Traceback" in str(lost.value)
    assert lost.value.last_line == "LookupError: our own bug"
    assert "\0" not in str(lost.value)


@pytest.mark.parametrize(
    ("end", "cause"),
    [("time.sleep(600)", "gave no answer for 2 s"), ("os._exit(3)", "died with exit code 3")],
)
def test_a_worker_lost_after_its_last_answer_costs_no_row(
    images: Path, job: Job, inject: Inject, end: str, cause: str
) -> None:
    inject(
        "import os, time\nfrom hambatch.backends import openvino_cpu\n"
        f"openvino_cpu.OpenVinoBackend.close = lambda self: (fired(), {end})\n"
    )
    with SupervisedWorker(replace(job, decode_seconds=2.0 - job.batch_size)) as worker:
        found = [answer.indices.tolist() for answer in worker.answers([items(images, 3)])]
    assert found == [[0, 1, 2]]
    assert worker.lost == [f"{cause}, all its answers given"]


def test_an_engine_that_never_loads_is_an_error_not_a_wait(
    job: Job, inject: Inject, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = inject(
        "import time\nfrom hambatch import backends\n"
        "backends.load_backend = lambda *a: (fired(), time.sleep(600))\n"
    )
    monkeypatch.setattr("hambatch.scoring.worker.process.READY_SECONDS", 0.5)
    with Worker(job, 30) as worker:
        wait_for(marker.exists, "the worker loads its engine")
        with pytest.raises(WorkerLost, match=r"no answer for 0\.5 s"):
            worker.wait_ready()


def test_a_batch_of_slow_files_is_given_its_time_a_file(
    image_folder: Path, job: Job, inject: Inject
) -> None:
    inject(
        "import time\nfrom hambatch.pipelines.slow_lane import SlowLane\nreal = SlowLane.decode\n"
        "def decode(self, *a, **k):\n    fired()\n    time.sleep(1)\n"
        "    return real(self, *a, **k)\n"
        "SlowLane.decode = decode\n"
    )
    group = items(image_folder, 4)
    for item in group:
        with item.path.open("ab") as stream:
            stream.write(b"tail")
    with Worker(job, patience=2.5) as worker:
        (answer,) = worker.answers([group])
    assert answer.indices.tolist() == [0, 1, 2, 3]


def test_a_worker_that_is_killed_is_an_error_and_not_a_hang(images: Path, job: Job) -> None:
    with Worker(job, patience=30) as worker:
        worker.wait_ready()
        worker.kill()
        with pytest.raises(BackendError, match="died of signal 9"):
            list(worker.answers([items(images, 1)]))


def test_a_pipe_that_is_not_emptied_has_no_room() -> None:
    ours, theirs = socket.socketpair()
    with theirs, Connection(ours.detach()) as connection:
        assert _has_room(connection, 0.1)
        os.set_blocking(connection.fileno(), False)
        with suppress(BlockingIOError):
            while True:
                os.write(connection.fileno(), bytes(5000))
        assert not _has_room(connection, 0.1)
