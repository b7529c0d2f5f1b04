"""What a row says of itself, checked without scoring: its arithmetic and its words."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from hambatch.checks.verify.table import Difference
from hambatch.engines.backend_names import cpu_precision
from hambatch.engines.classes import CLASSES
from hambatch.engines.manifest import IMAGE_CHECKS, Manifest
from hambatch.engines.probabilities import DECIMALS
from hambatch.engines.referral import Rules
from hambatch.pipelines.header import NO_IMAGE
from hambatch.risk.decision import decided
from hambatch.scoring.journal.fingerprint import has_checks, rules_of_decoding
from hambatch.scoring.plan import ON_CPU, ON_GPU
from hambatch.scoring.record import history_of, rules_in
from hambatch.sources.reading import OTHER_IDENTIFIERS, OTHER_SHA256, OUTSIDE
from hambatch.types import Row

NOT_READ = (
    *("cannot be read: ", OUTSIDE, "changed while it was read", "too large: "),
    *("archive ", "member ", "too many frames: "),
)
"""How the reason of a row begins whose file was not read whole: it has no sha256."""

REASONS = (
    *NOT_READ,
    OTHER_SHA256,
    OTHER_IDENTIFIERS,
    *NO_IMAGE,
    "empty file",
    "the header says ",
    "animated PNG of ",
    "animated WebP of ",
    "PNG with ",
    "JPEG of ",
    "JPEG with ",
    "lossless JPEG is ",
    "hierarchical JPEG is ",
    *("BMP of ", "GIF whose ", "TIFF of ", "TIFF with ", "JPEG 2000 of "),
    *("HEIC of ", "HEIC with ", "AVIF of ", "AVIF with ", "HEIF of "),
    "no decoder for ",
    "too small: ",
    "too narrow: ",
    "incomplete: ",
    "damaged: ",
    "holds nothing: ",
    *("colour profile ", "colours of the code ", "gamma or primaries ", "primaries of the "),
    "DICOM ",
    "cannot be decoded: ",
    "cannot be scored: ",
)
"""How every reason begins, of this version and of earlier ones."""

_ROUNDING = 0.5 * 10**-DECIMALS * 1.001


@dataclass(frozen=True)
class RowRules:
    """What the rows of one run may say.

    ``malignant`` are positions in the classes; ``checked``: the run had limits for images;
    ``has_risks``: its table has the columns about quality and risk, by ``rules``; ``backend`` and
    ``decoder`` match what a scored row may name.
    """

    malignant: tuple[int, ...]
    checked: bool
    has_risks: bool
    rules: Rules
    backend: re.Pattern[str]
    decoder: re.Pattern[str]

    def differences(self, row: Row) -> Iterator[Difference]:
        """Yield what no run with that record writes; whether it is true takes another look."""
        checks = self._of_scored(row) if row.status == "ok" else self._of_failed(row)
        checks = chain(checks, self._of_risk(row))
        for what, found, wanted in checks:
            yield Difference(row.image, what, found, wanted)

    def _of_scored(self, row: Row) -> Iterator[tuple[str, str, str]]:
        total = sum(row.probabilities[k] for k in self.malignant)
        # The sum was rounded after it was taken, and so was each of its parts.
        if abs(row.malignant - total) > (len(self.malignant) + 1) * _ROUNDING:
            names = " + ".join(f"p_{CLASSES[k]}" for k in self.malignant)
            yield "p_malignant is not its sum", f"{row.malignant:.6f}", f"{names} = {total:.6f}"
        for column, pattern in (("decoder", self.decoder), ("backend", self.backend)):
            found = getattr(row, column)
            if not pattern.fullmatch(found):
                yield f"{column} is not of this run", found, pattern.pattern
        if not row.sha256:
            yield "scored row without a sha256", "", "64 hexadecimal digits"
        if row.reason:
            yield "scored row with a reason", row.reason, "nothing"
        if self.checked != (row.ood is not None):
            yield "ood is not of this run", str(row.ood), "a number" if self.checked else "nothing"

    def _of_risk(self, row: Row) -> Iterator[tuple[str, str, str]]:
        wanted = decided(row, self.rules) if self.has_risks else row
        found, right = ((each.risk, each.risk_reason) for each in (row, wanted))
        if found != right:
            yield "risk does not follow from the row", ": ".join(found), ": ".join(right)

    def _of_failed(self, row: Row) -> Iterator[tuple[str, str, str]]:
        for column in ("decoder", "backend"):
            if found := getattr(row, column):
                yield f"failed row with a {column}", found, "nothing"
        if not row.reason.startswith(REASONS):
            yield "reason is none that a run gives", row.reason, ", ".join(REASONS)
        elif not row.sha256 and not row.reason.startswith((*NOT_READ, "cannot be scored: ")):
            yield "row of a file that was read, without its sha256", row.reason, "a sha256"


def carried_differences(row: Row, wanted: Sequence[str | None]) -> Iterator[Difference]:
    """Yield a difference if a row does not carry what the manifest has for its image.

    ``wanted`` are the cells of the manifest's carried columns, in their order.
    """
    # A table holds nothing, and not an empty text, for a cell of a manifest without a value.
    cells = tuple(cell or None for cell in wanted)
    if row.carried != cells:
        yield Difference(row.image, "carried columns differ", _line(row.carried), _line(cells))


def _line(cells: Sequence[str | None]) -> str:
    return json.dumps(cells, ensure_ascii=False)


def rules_of(record: dict[str, Any], manifest: Manifest) -> RowRules:
    """Read from the engine and the record of a run what its rows may say."""
    ran = record["fingerprint"]
    name, precision = ran["backend"]["name"], ran["backend"]["precision"]
    backends = [f"{name}-{precision}" + (r"(-b[1-9]\d*)?" if name == ON_GPU else "")]
    if name == ON_GPU and history_of(record).handed_over:
        backends.append(f"{ON_CPU}-{cpu_precision(precision)}")
    dali = "dali-(cpu|gpu)" if name == ON_GPU else "dali-cpu"
    lenient = "|-truncated" if record["options"]["salvage_truncated"] else ""
    # Rules 1 of decoding applied no profile, and none before 3 decoded DICOM and HEIC.
    rules = rules_of_decoding(ran)
    pillow = f"pillow({'|-heif' if rules >= 3 else ''}{lenient})"
    icc = "(-icc)?" if rules != 1 else ""
    dicom = "|pydicom(-icc)?" if rules >= 3 else ""
    return RowRules(
        tuple(k for k, one in enumerate(manifest.classes) if one in manifest.malignant),
        has_checks(record) and IMAGE_CHECKS in manifest.files,
        has_checks(record),
        rules_in(record),
        re.compile("|".join(backends)),
        re.compile(f"{dali}|{pillow}{icc}{dicom}"),
    )
