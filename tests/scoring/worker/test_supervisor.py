"""A decoder that crashes or hangs costs its file a failed row, and no other file anything."""

import csv
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from hambatch.errors import BackendError, Shortage
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.scoring.run import score
from hambatch.scoring.worker.process import WorkerLost
from hambatch.scoring.worker.protocol import Job
from hambatch.scoring.worker.supervisor import SupervisedWorker
from hambatch.sinks.publish import record_path
from hambatch.sources.reading import Item
from hambatch.sources.source import folder_of_images
from tests.conftest import jpeg_bytes
from tests.pipelines.odd import cut_in_the_samples
from tests.scoring.conftest import Inject

# The decoder dies of, or hangs at, marked files.
FAULTY_DECODER = """
import os, signal, time
from hambatch.pipelines import dali_lane, pillow_lane
def fail(content, where):
    if b"crash-" + where in content:
        fired()
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"hang-" + where in content:
        fired()
        time.sleep(600)
real_feed, real_decode = dali_lane.DaliLane.feed, pillow_lane.decode
def feed(self, files):
    for file in files:
        fail(file.content, b"here")
    real_feed(self, files)
def decode(content, *rest):
    fail(content, b"pillow")
    return real_decode(content, *rest)
dali_lane.DaliLane.feed, pillow_lane.decode = feed, decode
"""


HUNG = "cannot be decoded: the decoder gave no answer for 2 s, the limit (--decode-seconds)"


@pytest.fixture
def faulty_decoder(inject: Inject) -> None:
    inject(FAULTY_DECODER)


@pytest.fixture
def job(tiny_engine: Path) -> Job:
    return plan_run(tiny_engine, ScoreOptions(engine=str(tiny_engine), batch_size=2)).job


def marked(seed: int, mark: bytes, lane: str) -> bytes:
    """A good JPEG with a mark; a tail takes it to DALI alone, a garbled header to Pillow."""
    if lane == "pillow":
        content = jpeg_bytes(seed, comment=mark.replace(b"here", b"pillow"))
        return content[:20] + b"junk" + content[20:]
    return jpeg_bytes(seed, comment=mark) if lane == "main" else jpeg_bytes(seed) + mark


def in_pairs(folder: Path) -> list[list[Item]]:
    names = sorted(p for p in folder.rglob("*.*") if p.is_file())
    return [[Item(k + j, names[k + j]) for j in range(2)] for k in range(0, len(names), 2)]


def rows_by_image(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


def run_with(
    bad: dict[str, bytes], images: Path, engine: Path, out: Path, **options: int
) -> dict[str, dict[str, str]]:
    """Score the images with files that cost their decoder; the rows of the good ones, as alone."""
    for name, content in bad.items():
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).write_bytes(content)
    score([images], out, "csv", ScoreOptions(engine=str(engine), **options))  # type: ignore[arg-type]
    rows = rows_by_image(out)
    for name, content in bad.items():
        assert rows[name]["status"] == "failed"
        # The parent has not read the file: the worker sent its hash before it was lost.
        assert rows[name]["sha256"] == sha256(content).hexdigest()
    return rows


def workers_lost(out: Path) -> list[str]:
    found: list[str] = json.loads(record_path(out).read_text())["timing"]["workers_lost"]
    return found


@pytest.mark.usefixtures("faulty_decoder")
def test_files_that_crash_are_each_found_in_every_lane_and_cost_two_workers_each_at_most(
    image_folder: Path, tiny_engine: Path, tmp_path: Path, clean: Path
) -> None:
    # Two in one batch, and one in the last.
    lanes = {"a/x1.jpg": "main", "a/x2.jpg": "slow", "z.jpg": "pillow"}
    bad = {
        name: marked(80 + k, b"crash-here", lane) for k, (name, lane) in enumerate(lanes.items())
    }
    rows = run_with(bad, image_folder, tiny_engine, tmp_path / "p.csv", batch_size=8)
    reasons = {rows.pop(name)["reason"] for name in bad}
    assert reasons == {"cannot be decoded: the decoder died of signal 11"}
    assert rows == rows_by_image(clean)
    lost = workers_lost(tmp_path / "p.csv")
    assert set(lost) == {"died of signal 11"}
    assert len(bad) < len(lost) <= 2 * len(bad)


@pytest.mark.usefixtures("faulty_decoder")
def test_files_at_which_a_decoder_hangs_are_each_found_in_every_lane(
    image_folder: Path, tiny_engine: Path, tmp_path: Path, clean: Path
) -> None:
    lanes = ["main", "slow", "pillow"]
    bad = {f"b/{lane}.jpg": marked(70, b"hang-here", lane) for lane in lanes}
    out = tmp_path / "p.csv"
    rows = run_with(bad, image_folder, tiny_engine, out, batch_size=4, decode_seconds=2)
    assert {rows.pop(name)["reason"] for name in bad} == {HUNG}
    assert rows == rows_by_image(clean)
    lost = workers_lost(out)
    # A batch has a second more for each image.
    assert set(lost) == {"gave no answer for 6 s", "gave no answer for 2 s"}
    assert len(bad) < len(lost) <= 2 * len(bad)


def test_a_reader_that_hangs_stops_the_run_and_fails_no_file(
    images: Path, job: Job, tmp_path: Path, inject: Inject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hambatch.scoring.worker.short_memory.SHORT_WAITS", ())
    inject(
        "import time\nfrom hambatch.sources import reading\nreal = reading._read\n"
        "def read(item, bounds):\n"
        "    if item.path.name == 'stuck.jpg':\n        fired()\n        time.sleep(600)\n"
        "    return real(item, bounds)\n"
        "reading._read = read\n"
    )
    (tmp_path / "stuck.jpg").write_bytes(jpeg_bytes(1))
    items = [Item(0, tmp_path / "stuck.jpg"), Item(1, images / "last.png")]
    # A batch has a second more for each image.
    said = r"no disk .* answers at .*stuck.jpg.*gave no answer for 2 s.*raise --decode-seconds"
    with SupervisedWorker(replace(job, decode_seconds=2)) as worker:
        with pytest.raises(Shortage, match=f"(?s){said}"):
            list(worker.answers([items]))


def test_the_limits_and_the_source_of_the_plan_hold_in_the_worker(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.jpg").write_bytes(jpeg_bytes(3))
    (image_folder / "out.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    (image_folder / "heavy.jpg").write_bytes(jpeg_bytes(4) + bytes(200_000))
    (image_folder / "wide.jpg").write_bytes(jpeg_bytes(5, 2000, 600))
    names = ["out.jpg", "heavy.jpg", "wide.jpg", "last.png"]
    items = [Item(k, image_folder / name) for k, name in enumerate(names)]
    sentinel = Item(-1, tmp_path / "elsewhere.jpg", sentinel=True)
    options = ScoreOptions(engine=str(tiny_engine), max_megabytes=0.1, max_megapixels=1)
    with SupervisedWorker(
        plan_run(tiny_engine, options, folder_of_images(image_folder)).job
    ) as worker:
        (answer,) = worker.answers([[*items, sentinel]])
    assert answer.indices.tolist() == [3, -1]
    assert [f.reason for f in answer.failures] == [
        "symbolic link out of the folder (--follow-symlinks reads it)",
        "too large: 0.2 MB, the limit is 0.1 (--max-megabytes)",
        "too large: 2000 x 600 is 1.2 megapixels, the limit is 1 (--max-megapixels)",
    ]


@pytest.mark.usefixtures("faulty_decoder")
def test_a_worker_lost_at_a_sentinel_is_not_the_sentinels_fault(
    images: Path, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hambatch.scoring.worker.supervisor.SENTINEL_LOST_AT_MOST", 1)
    # The mark stands for whatever kills the worker: here it does so every time.
    known = tmp_path / "known.jpg"
    known.write_bytes(marked(90, b"crash-here", "main"))
    items = [Item(-1, known, sentinel=True), Item(0, images / "last.png")]
    with SupervisedWorker(job) as worker:
        first, second = worker.answers([items])
    assert first.failures[0].index == -1
    assert second.indices.tolist() == [0]
    assert len(worker.lost) == 1 + 1 + 1
    # One more did the rest of the batch; no process was started for nothing after it.
    assert worker.started == len(worker.lost) + 1


def test_a_machine_on_which_workers_keep_dying_is_a_bad_set_up(
    images: Path,
    tiny_engine: Path,
    tmp_path: Path,
    inject: Inject,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inject(
        "import os\nfrom hambatch.pipelines import scoring\n"
        "scoring.ScoringPipeline.batches = lambda *a: (fired(), os._exit(7))\n"
    )
    monkeypatch.setattr("hambatch.scoring.worker.supervisor.LOST_AT_MOST", 2)
    next_step = r"(?s)3 workers were lost.*exit code 7.*Next: run the same command again.*are kept"
    with pytest.raises(BackendError, match=next_step):
        score([images], tmp_path / "p.csv", "csv", ScoreOptions(engine=str(tiny_engine)))
    assert not (tmp_path / "p.csv").exists()


def test_after_many_killers_a_machine_that_decodes_nothing_any_more_fails_no_file(
    images: Path, job: Job, tmp_path: Path, inject: Inject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hambatch.scoring.worker.supervisor.KILLERS", 1)
    monkeypatch.setattr("hambatch.scoring.worker.supervisor.SENTINEL_LOST_AT_MOST", 1)
    inject(
        "import os\nfrom hambatch.pipelines import dali_lane\n"
        "real = dali_lane.DaliLane.feed\n"
        "def feed(self, files):\n"
        f"    broken = {str(tmp_path / 'broken')!r}\n"
        "    last_straw = any(b'breaks-it' in file.content for file in files)\n"
        "    if last_straw and len(files) == 1:\n        open(broken, 'a').close()\n"
        "    if last_straw or os.path.exists(broken):\n        fired()\n        os._exit(9)\n"
        "    real(self, files)\n"
        "dali_lane.DaliLane.feed = feed\n"
    )
    (tmp_path / "last_straw.jpg").write_bytes(marked(95, b"breaks-it", "main"))
    good = [Item(k, images / "last.png") for k in (1, 2)]
    sentinel = Item(-1, images / "last.png", sentinel=True)
    batches = [[sentinel], [Item(0, tmp_path / "last_straw.jpg"), good[0]], good[1:]]
    with SupervisedWorker(job) as worker:
        answers = worker.answers(batches)
        of_sentinel, of_last_straw = next(answers), next(answers)
        assert of_sentinel.indices.tolist() == [-1]
        assert [failure.index for failure in of_last_straw.failures] == [0]
        with pytest.raises(BackendError, match=r"4 workers were lost.*more than bad files"):
            next(answers)


MORE_BATCHES = 5000
"""More than a worker takes before it is lost twice; without the fault the test ends, and fails."""


@pytest.mark.usefixtures("faulty_decoder")
def test_troubles_and_times_are_added_up_over_the_workers_that_ended_well(
    image_folder: Path, tiny_engine: Path
) -> None:
    contents = {
        "good.jpg": jpeg_bytes(1),
        "killer.jpg": marked(91, b"crash-here", "main"),
        "hurt1.jpg": cut_in_the_samples(jpeg_bytes(2, 300, 224)),
        "hurt2.jpg": cut_in_the_samples(jpeg_bytes(3, 300, 224)),
    }
    for name, content in contents.items():
        (image_folder / name).write_bytes(content)
    found = [Item(k, image_folder / name) for k, name in enumerate(contents)]
    job = plan_run(tiny_engine, ScoreOptions(engine=str(tiny_engine), batch_size=3)).job

    def batches() -> Iterator[list[Item]]:
        # The second batch is taken when the first has been dealt with one by one.
        yield found[:3]
        for _ in range(MORE_BATCHES):
            if len(worker.lost) >= 2:
                break
            yield [Item(9, image_folder / "last.png")]
        yield found[3:]

    with SupervisedWorker(job) as worker:
        failed = [f.index for answer in worker.answers(batches()) for f in answer.failures]
        # One by one after the killer, and the last one of all; what the lost ones saw is unknown.
        assert worker.troubles == {"warned": 2}
        one = worker._worker.stage_times.load_s
        assert worker.stage_times.load_s > one > 0
    assert failed == [1, 2, 3]


def test_a_worker_killed_from_outside_changes_nothing_also_between_two_files(
    images: Path, job: Job
) -> None:
    with SupervisedWorker(job) as worker:
        answers = worker.answers(in_pairs(images))
        seen, killed = [], list[int]()
        for answer in answers:
            assert not answer.failures
            seen += answer.indices.tolist()
            pid = worker._worker._process.pid
            assert pid is not None
            # The first kill makes it go one by one; the others fall between two files. What the
            # first process had answered before may still come.
            if len(killed) < 3 and pid not in killed:
                os.kill(pid, signal.SIGKILL)
                worker._worker._process.join()
                killed.append(pid)
    assert seen == list(range(24))
    assert worker.lost == ["died of signal 9"] * 3


def test_a_worker_that_is_abandoned_while_its_process_is_replaced_ends_too(
    images: Path, job: Job
) -> None:
    class Abandoned(SupervisedWorker):
        """One whose new process has just been started when the run has enough."""

        def _start(self, **named: bool) -> None:
            super()._start(**named)
            if self.started == 2:
                self.abandon()

    with Abandoned(job) as worker:
        answers = worker.answers(in_pairs(images))
        next(answers)
        pid = worker._worker._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WorkerLost, match="signal 9"):
            list(answers)
    assert worker.started == 2
