"""What a lost worker says about the file that it had, in messages and in a failed row."""

from pathlib import Path

import numpy as np

from hambatch.errors import DeviceLost, Shortage
from hambatch.scoring.worker.process import WorkerLost
from hambatch.scoring.worker.protocol import Answer, Touched
from hambatch.sources.reading import Item
from hambatch.system.shortages import MOVE_AWAY
from hambatch.types import Failure

_LOST = "decoded: the decoder", "read: the reader"


def too_little(lost: WorkerLost, what: Path | str) -> Shortage:
    """Make the error of a run that cannot go on with one file alone."""
    if lost.short:
        found, remedy = "too little memory for", "raise the memory limit or free memory"
    elif lost.hung:
        found = "no disk or network folder answers at"
        remedy = "see whether the disk or the network folder works, or raise --decode-seconds"
    else:
        found = "killed from outside at" if lost.killed else "lost before decoding"
        remedy = "see what kills processes here (dmesg, journalctl, ulimit -t, the job queue)"
    remedy += ", and run the same command again"
    if isinstance(what, Path):
        remedy += f". If it happens at this file alone, {MOVE_AWAY}"
    return Shortage(
        f"{found} {what}, alone and on one thread: the worker process {lost.in_short}, again "
        f"and again. No image failed for it.\nNext: {remedy}"
    )


def device_lost(lost: WorkerLost, item: Item) -> DeviceLost:
    """Make the error of a device whose work others can do."""
    at = "at a sentinel" if item.sentinel else "at one file after the other"
    return DeviceLost(
        f"the worker process {lost.in_short}, {at}.\n"
        "Next: hambatch doctor, then run the same command again"
    )


def is_of_a_loss(reason: str) -> bool:
    """Tell the reason of a failed row that :func:`failed_row` made: another try may end well."""
    return reason.startswith(tuple(f"cannot be {what} " for what in _LOST))


def failed_row(item: Item, lost: WorkerLost, touched: Touched | None, after: int) -> Answer:
    """Make the answer of a file that a worker was lost at, ``after`` so many others, if any."""
    hurried = f" after {after} files that lost their decoders" if after and touched else ""
    limit = f", the limit{hurried} (--decode-seconds)" if lost.hung else ""
    what = _LOST[0] if touched else _LOST[1]
    reason = f"cannot be {what} {lost.cause}{limit}"
    failure = Failure(item.index, touched.sha256 if touched else "", reason)
    return Answer(
        np.empty(0, np.int64), np.empty((0, 7), np.float32), [], [], [failure], by_parent=True
    )
