"""A row as the Python API gives it: the columns of the table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hambatch import types
from hambatch.engines.classes import CLASSES, NUMBERS
from hambatch.sinks.columns import record_of
from hambatch.system.text import decode_name


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one image; the fields are the columns of the table, as it has them.

    Attributes
    ----------
    image
        Its name, percent-encoded as in the table where a name has unusual characters.
    status
        ``ok`` or ``failed``.
    prediction
        The class with the highest probability; empty for a failed row, as every other text that
        there is none of.
    confidence
        That probability. Numbers are rounded to six decimals; a failed row has None.
    p_akiec, p_bcc, p_bkl, p_df, p_mel, p_nv, p_vasc
        The probability of each class.
    p_malignant
        The sum over the malignant and pre-malignant classes, rounded after it was taken.
    decoder, backend
        What decoded the image, and what scored it in which precision.
    sha256
        Of the bytes that were scored.
    reason
        Of a failed row: why, in a line.
    ood
        How unlike the training images the image is, in multiples of the engine's limit; None for a
        failed row, and where the engine has no limits.
    quality
        What is poor about the image, in words separated by blanks; empty: nothing was found.
    risk, risk_reason
        ``refer``, ``review`` or ``routine``, and why; both empty where nothing is certified and
        nothing was found.
    carried
        The other columns of a manifest, and identifiers of DICOM files with ``keep_ids``.
    """

    image: str
    status: str
    prediction: str
    confidence: float | None
    p_akiec: float | None
    p_bcc: float | None
    p_bkl: float | None
    p_df: float | None
    p_mel: float | None
    p_nv: float | None
    p_vasc: float | None
    p_malignant: float | None
    decoder: str
    backend: str
    sha256: str
    reason: str
    ood: float | None
    quality: str
    risk: str
    risk_reason: str
    carried: Mapping[str, str | None] = field(default_factory=dict, hash=False)

    @property
    def name(self) -> str:
        """The image's name as the file system has it: ``image`` decoded."""
        return decode_name(self.image)

    @property
    def probabilities(self) -> dict[str, float]:
        """The seven probabilities by class; empty for a failed row."""
        found = {name: getattr(self, f"p_{name}") for name in CLASSES}
        return {} if None in found.values() else found


def public_row(row: types.Row, columns: Sequence[str] = ()) -> Row:
    """Lay a row out as the table does; ``columns`` name its carried cells, encoded."""
    record: dict[str, Any] = dict(record_of(row, columns))
    carried = {name: record.pop(name) for name in columns}
    cells: dict[str, Any] = {
        name: value if name in NUMBERS else value or "" for name, value in record.items()
    }
    return Row(**cells, carried=carried)
