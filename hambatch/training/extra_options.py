"""Options of training images of other sources than the split table."""

from dataclasses import dataclass
from typing import Any

from hambatch.errors import InputError
from hambatch.training.option_fields import Range, option


@dataclass(frozen=True)
class Extra:
    """Images of another source: ``TABLE[#SET]=WEIGHT[@SIDE]``.

    ``part`` is a value of the column ``set``; empty: all rows. An image is drawn ``weight`` times
    as often as one of the split table of the same class. ``side`` is the largest side, in pixels,
    that its images are sharp at; 0: any.
    """

    table: str
    weight: float
    part: str = ""
    side: int = 0

    @property
    def name(self) -> str:
        """That of the set, or of the table's file."""
        return self.part or self.table.replace("\\", "/").rpartition("/")[2].partition(".")[0]

    def record(self) -> dict[str, Any]:
        """Give plain values, without the table's folder."""
        return {"source": self.name, "weight": self.weight, "side": self.side}


def extra_from(text: str) -> Extra:
    """Read ``TABLE[#SET]=WEIGHT[@SIDE]``; ValueError, saying why, if it is no such text."""
    source, equals, numbers = text.rpartition("=")
    weight, at, side = numbers.partition("@")
    table, _, part = source.partition("#")
    try:
        found = Extra(table.strip(), float(weight), part.strip(), int(side) if at else 0)
    except ValueError:
        equals = ""
    if not equals or not table.strip():
        raise ValueError("wanted TABLE=WEIGHT, TABLE#SET=WEIGHT or either with @SIDE")
    if not 0 < found.weight <= MOST_WEIGHT:
        raise ValueError(f"its weight is {weight}, wanted one above 0, at most {MOST_WEIGHT}")
    if at and not 1 <= found.side <= MOST_SIDE:
        raise ValueError(f"its side is {side}, wanted 1 to {MOST_SIDE} pixels")
    return found


MOST_WEIGHT, MOST_SIDE = 100, 65_535


@dataclass(frozen=True)
class ExtraOptions:
    """Images of other sources than the split table, for training alone.

    A source whose images are smaller than the network's input is blurred there; it is trained on in
    the first ``blurred_share`` of the steps only. ``adjust_by`` says whose shares of the classes
    the logit adjustment takes: those of all views, or of the view's own source, so that the network
    does not learn a diagnosis from the camera.
    """

    extra: tuple[Extra, ...] = option(
        (),
        "More training images: TABLE[#SET]=WEIGHT[@SIDE]; a table with path or image_id, dx, maybe "
        "lesion_id, set, split.",
    )
    extra_licence: tuple[str, ...] = option(
        (), "Licence of a source's images: SET=TEXT, or the table's name without suffix =TEXT."
    )
    extra_images: tuple[str, ...] = option(
        (), "Another folder in which the images of these tables are looked for."
    )
    blurred_share: float = option(
        0.5,
        "Share of the steps, from the first, that see images of a SIDE below that of the network.",
        Range(0, 1, min_open=True),
    )
    adjust_by: str = option(
        "all",
        "Shares of the classes that the logit adjustment takes: all: of all views; source: of the "
        "view's source.",
        ("all", "source"),
    )

    def licences(self) -> dict[str, str]:
        """Give the licence of each source; InputError if one has none."""
        given = dict(text.split("=", 1) for text in self.extra_licence if "=" in text)
        found = {source.name: given.get(source.name, "").strip() for source in self.extra}
        for name, licence in found.items():
            if not licence:
                raise InputError(
                    f"--extra {name} has no licence; wanted one for the model card.\n"
                    f"Next: add --extra-licence '{name}=TEXT'"
                )
        return found

    def record(self) -> dict[str, Any]:
        """Give what decides the weights, as plain values; nothing without another source."""
        if not self.extra:
            return {}
        return {
            "extra": [source.record() for source in self.extra],
            "blurred_share": self.blurred_share,
            "adjust_by": self.adjust_by,
        }
