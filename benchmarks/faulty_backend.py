"""An OpenVINO backend whose answers are wrong from one request of a run on."""

import threading
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count
from typing import Any

import numpy as np

from hambatch.backends.openvino_cpu import REQUEST_SIZE, OpenVinoBackend

HAS_PLACES = find_spec("hambatch.backends.placing") is not None
"""Not so before sentinels had requests and rows of their own."""

Logits = np.ndarray
Spoil = Callable[[Logits, Logits], None]
"""Changes the logits of a request in place, given those that were there before it."""


def two_swapped(logits: Logits, before: Logits) -> None:
    """Give two images of a request each other's answers."""
    logits[[0, 2]] = logits[[2, 0]]


def zeroed(logits: Logits, before: Logits) -> None:
    """Give no answer at all."""
    logits[:] = 0


def stale(logits: Logits, before: Logits) -> None:
    """Leave the answers of the request before, or the one beside."""
    logits[:] = before


def one_zeroed(logits: Logits, before: Logits) -> None:
    """Give no answer for one image."""
    logits[1] = 0


def all_the_same(logits: Logits, before: Logits) -> None:
    """Give every image of a request the answer of the first."""
    logits[:] = logits[0]


def drift(share: float) -> Spoil:
    """Make every logit larger."""

    def spoil(logits: Logits, before: Logits) -> None:
        logits *= 1 + share

    return spoil


DRIFTS = {"0.02 %": 0.0002, "0.1 %": 0.001, "1 %": 0.01}

FAULTS: dict[str, Spoil] = {
    "two images of a request swapped": two_swapped,
    "one image of a request zeroed": one_zeroed,
    "a request zeroed": zeroed,
    "a request stale": stale,
    "a request with the answer of its first image": all_the_same,
    **{f"drift of {name}": drift(share) for name, share in DRIFTS.items()},
}

TWO_REQUESTS = "two requests swapped"
"""The one that comes first waits for the other; the last one may find none."""

ONE_ROW = "one row of one infer request zeroed"
"""Only there, and in no other request."""

ALONE_SECONDS = 0.5
"""How long a request waits for one to be swapped with."""

LASTING = {"1 request": 1, "16 requests": 16, "to the end": 10**9}


class Faulty(OpenVinoBackend):
    """Answers wrongly from one request on, for some requests; both times are counted.

    ``harm``: whether an image's first computation was spoilt. ``count``: requests so far.
    """

    def arm(
        self, spoil: Spoil | None, begin: int, end: int, place: tuple[int, int] | None = None
    ) -> None:
        """Start counting anew.

        Without ``spoil``, requests are swapped in pairs, or ``place``, a row of an infer request,
        is zeroed.
        """
        self.spoil, self.begin, self.end, self.harm = spoil, begin, end, False
        self.spoilt_place = place
        self.numbers, self.before = count(), np.zeros((REQUEST_SIZE, 7), np.float32)
        self.lock, self.held = threading.Lock(), deque[tuple[dict[str, Logits], Any]]()
        self.released: set[int] = set()
        self.count = 0

    def _keep(self, request: Any, sent: Any) -> None:
        outputs = {name: request.get_tensor(name).data.copy() for name in ("logits", "features")}
        for answer in self._answers(outputs, sent):
            super()._keep(*answer)

    def _answers(self, outputs: dict[str, Logits], sent: Any) -> list[tuple[Any, Any]]:
        right = outputs["logits"].copy()
        with self.lock:
            number = next(self.numbers)
            self.count = number + 1
            if self.begin <= number < self.end:
                if self.spoilt_place:
                    slot, row = self.spoilt_place
                    if sent.slot == slot:
                        outputs["logits"][row] = 0
                elif self.spoil:
                    self.spoil(outputs["logits"], self.before)
                elif not self.held:
                    self._hold(outputs, sent)
                    return []
                else:
                    other, other_sent = self.held.pop()
                    self._note_harm(other_sent, right != other["logits"])
                    self._note_harm(sent, right != other["logits"])
                    return [(_Answered(other), sent), (_Answered(outputs), other_sent)]
                self._note_harm(sent, outputs["logits"] != right)
            self.before = right
        return [(_Answered(outputs), sent)]

    def _hold(self, outputs: dict[str, Logits], sent: Any) -> None:
        """Keep a request's answer until there is another, or until it seems to be the last."""
        self.held.append((outputs, sent))
        if HAS_PLACES:
            # The next one may have to be this very request.
            super()._release(sent)
            self.released.add(id(sent))
        timer = threading.Timer(ALONE_SECONDS, self._let_go, [outputs, sent])
        timer.daemon = True
        timer.start()

    def _let_go(self, outputs: dict[str, Logits], sent: Any) -> None:
        with self.lock:
            if not (self.held and self.held[0][1] is sent):
                return
            self.held.pop()
        super()._keep(_Answered(outputs), sent)

    def _release(self, sent: Any) -> None:
        if id(sent) in self.released:
            self.released.remove(id(sent))
        else:
            super()._release(sent)

    def _note_harm(self, sent: Any, differs: Logits) -> None:
        if sent.before is None:
            self.harm |= any(self._spoilt(part, differs) for part in sent.parts)

    @staticmethod
    def _spoilt(part: Any, differs: Logits) -> bool:
        there = slice(part.first, part.first + len(part.images))
        is_image = part.pending.batch.indices[there] >= 0
        return bool(differs[part.place : part.place + len(part.images)][is_image].any())


class _Answered:
    def __init__(self, outputs: dict[str, Logits]) -> None:
        self._outputs = outputs

    def get_tensor(self, name: str) -> Any:
        """Give what has the data."""
        return type("Tensor", (), {"data": self._outputs[name]})
