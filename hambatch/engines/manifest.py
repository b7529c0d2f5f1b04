"""`engine.json`: the contract of an engine folder.

Types and ranges of its fields stand here; of what was measured, in
:mod:`hambatch.engines.measurements`.
"""

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from hambatch.engines.backend_names import graph_precision
from hambatch.engines.certificates import Certificate
from hambatch.engines.classes import CLASSES, MALIGNANT, SPLITS
from hambatch.engines.measurements import Calibration, Figure, FiguresOn, Gate, Text, gate_as_read
from hambatch.engines.sentinels import Sentinels, problem_with
from hambatch.errors import EngineError
from hambatch.system.files import CHECKSUM, as_json, checksum_of, sha256_of_bytes, with_checksum
from hambatch.system.schema import convert, decode, read_json_file
from hambatch.system.text import excerpt, problem_with_file_name

MANIFEST_NAME = "engine.json"

TRAINING_IMAGES = "training_images.json"
"""The file of :mod:`hambatch.engines.training_images`; an engine may lack it."""

FEATURE_STATISTICS = "feature_statistics.npz"
"""The file of :mod:`hambatch.engines.feature_statistics`; an engine may lack it."""

IMAGE_CHECKS = "image_checks.json"
"""The file of :mod:`hambatch.engines.image_checks`; an engine may lack it."""

CARD = "card.md"
"""The model card; an engine that is no product of `hambatch train` may lack it."""

LICENCE_OF_WEIGHTS = "weights_licence.txt"
"""Text of the licence of the base's weights; an engine may lack it."""

TRAIN = ("train",)
"""The splits that an engine was trained on where its ``data`` names none."""

FORMAT = 1
"""Version of the fields below; any other is refused."""

FEATURES = 2048
"""Values an image of the output ``features``: the channels of ResNet50's last block."""

Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]+\Z")]
"""It is printed, so that it has no control character."""
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Side = Annotated[int, Meta(ge=1, le=65_535)]


@dataclass(frozen=True)
class InputSpec:
    """The graph's input: ``[batch, height, width, 3]``."""

    name: Name = "images"
    dtype: Literal["uint8"] = "uint8"
    layout: Literal["NHWC"] = "NHWC"
    colour: Literal["RGB"] = "RGB"
    height: Side = 224
    width: Side = 224


@dataclass(frozen=True)
class Preprocessing:
    """What happens between encoded bytes and the graph's input."""

    exif_orientation: bool = True
    resize: Literal["stretch"] = "stretch"
    interpolation: Literal["linear"] = "linear"
    antialias: bool = False


@dataclass(frozen=True)
class EngineFile:
    """A file of the folder; an ``optional`` one may be absent, never altered."""

    sha256: Sha256
    bytes: Annotated[int, Meta(ge=0)]
    optional: bool = False


@dataclass(frozen=True)
class Variant:
    """One graph of the engine and how far it is from the Keras reference.

    ``gates``: what it costs against FP32, an entry for every cheaper precision that runs it (the
    FP32 graph: BF16), backend and instruction set.
    """

    precision: str
    file: str
    parity: dict[str, Any] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()


@dataclass(frozen=True)
class OtherImages:
    """Figures on other images than those of ``metrics``, in the card and here.

    ``card``: the entry of the card as it was without them and without certificates, None where
    there is no card. Figures may be added and removed later, and decide no row: see
    :func:`identity_of`.
    """

    figures: tuple[FiguresOn, ...]
    card: EngineFile | None = None


@dataclass(frozen=True)
class Manifest:
    """All of ``engine.json``.

    ``files`` names every file of the folder but ``engine.json`` itself;
    ``sentinels`` are images whose probabilities are known. ``calibration`` comes after them
    and is for users (:mod:`hambatch.engines.probabilities`); None: there is none.
    ``metrics`` and ``data`` say what was measured on what; ``training`` is its configuration.
    ``other_images``: what was measured later, on others; None: nothing. ``certificates``:
    thresholds that were certified later, one for each target and precision.
    """

    name: Name
    version: Name
    files: dict[str, EngineFile]
    variants: tuple[Variant, ...]
    classes: tuple[str, ...] = CLASSES
    malignant: tuple[str, ...] = tuple(sorted(MALIGNANT))
    input: InputSpec = field(default_factory=InputSpec)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    calibration: Calibration | None = None
    sentinels: Sentinels = field(default_factory=Sentinels)
    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    licence: str = ""
    other_images: OtherImages | None = None
    certificates: tuple[Certificate, ...] = ()
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields, and their checksum.

        No ``calibration``, ``other_images`` or ``certificates`` where there is none; gates as
        :meth:`Gate.to_json` says.
        """
        values = asdict(self)
        for variant, written in zip(self.variants, values["variants"], strict=True):
            written["gates"] = [gate.to_json() for gate in variant.gates]
        if self.other_images is not None:
            figures = [one.to_json() for one in self.other_images.figures]
            values["other_images"]["figures"] = figures
        for name in ("calibration", "other_images", "certificates"):
            if not values[name]:
                del values[name]
        return with_checksum(values)

    @property
    def trained_on(self) -> tuple[str, ...]:
        """The splits of the split table that the weights were fitted to."""
        return tuple(self.data.get("trained_on", TRAIN))

    @property
    def graphs(self) -> frozenset[str]:
        """The sha256 of each graph's file."""
        return frozenset(self.files[variant.file].sha256 for variant in self.variants)

    @property
    def data_name(self) -> str:
        """The source of the split table that the weights were fitted to."""
        return str(self.data.get("name", _Data.name))

    def variant(self, precision: str) -> Variant:
        """Find the graph of one precision; raises EngineError if the engine has none."""
        for variant in self.variants:
            if variant.precision == precision:
                return variant
        offered = ", ".join(v.precision for v in self.variants) or "none"
        raise EngineError(
            f"the engine {self.name} has no {precision} graph; it has: {offered}.\n"
            f"Next: hambatch engines show {self.name}"
        )


@dataclass(frozen=True)
class _Fp16Stored:
    max_difference: Figure


@dataclass(frozen=True)
class _Parity:
    fp16_stored: _Fp16Stored = _Fp16Stored(0.0)


@dataclass(frozen=True)
class _Data:
    split_sha256: Text = "unknown"
    name: Name = "its split table"


@dataclass(frozen=True)
class _Metrics:
    test: dict[str, Any] = field(default_factory=dict)


def identity_of(folder: Path) -> str:
    """Hash ``engine.json`` without the list of training images, ``other_images``, ``certificates``.

    They change no score. They may be added later: tables, records and journals from before them are
    still those of the engine.
    """
    content = (folder / MANIFEST_NAME).read_bytes()
    values = decode(content)
    listed = values["files"].pop(TRAINING_IMAGES, None)
    added = values.pop("other_images", None)
    certified = values.pop("certificates", None)
    if listed is None and added is None and certified is None:
        return sha256_of_bytes(content)
    if added is not None and added.get("card") is not None:
        values["files"][CARD] = added["card"]
    # Engines from before there were checksums have none, and get none with figures.
    again = with_checksum(values) if CHECKSUM in values else values
    return sha256_of_bytes(as_json(again).encode())


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``engine.json``; the files it names are not opened.

    Raises EngineError if the folder or the file is missing, is no JSON object, has another
    ``format``, was changed after it was written, or has missing, unknown or mistyped fields.
    """
    path = folder / MANIFEST_NAME
    try:
        manifest = _typed(read_json_file(path, dict[str, Any]))
    except OSError as error:
        raise EngineError(
            f"no engine at {folder}: {MANIFEST_NAME} cannot be read ({error.strerror}).\n"
            "Next: hambatch engines list"
        ) from error
    except ValueError as error:
        raise _refused(path, str(error)) from error
    problem = next(_problems(manifest), "")
    if problem:
        raise _refused(path, problem)
    return manifest


_REQUIRED = {
    (): ("classes", "malignant", "input", "preprocessing"),
    ("sentinels",): ("pictures", "tolerance", "tolerance_elsewhere", "measured_on"),
    ("calibration", "fitted_on"): ("precision", "predictions_sha256"),
}
"""Fields with a default that a file has to state all the same, of each object that it has."""


def _typed(raw: dict[str, Any]) -> Manifest:
    if raw.get("format") != FORMAT:
        found = excerpt(repr(raw.get("format")))
        raise ValueError(f"its format is {found}, this hambatch reads {FORMAT}")
    found = checksum_of(raw)
    # Engines from before there were checksums have none.
    wanted = raw.pop(CHECKSUM, found)
    if wanted != found:
        raise ValueError(
            "it was changed after it was written: its values have sha256 "
            f"{found}, not {excerpt(repr(wanted))}"
        )
    # Engines from before calibrations have one, which nothing ever set to another number.
    temperature = raw.pop("temperature", 1.0)
    if temperature != 1.0:
        found = excerpt(repr(temperature))
        raise ValueError(f"its temperature is {found}, wanted a calibration instead")
    missing = list(_missing(raw))
    if missing:
        raise ValueError(f"it has no {', '.join(missing)}")
    for name in ("calibration", "other_images"):
        if raw.get(name, raw) is None:
            raise ValueError(f"{name} is null, wanted an object, or no such field")
    _name_gates(raw)
    _check_parts(raw)
    return convert(raw, Manifest, exact=True)


def _name_gates(raw: dict[str, Any]) -> None:
    """Change the gates to what :class:`Gate` reads; ValueError names one that cannot be changed."""
    variants = raw.get("variants")
    for k, variant in enumerate(variants if isinstance(variants, list) else ()):
        found = variant.get("gates") if isinstance(variant, dict) else None
        gates: list[Any] = found if isinstance(found, list) else []
        for place, gate in enumerate(gates):
            try:
                gates[place] = gate_as_read(gate)
            except ValueError as error:
                raise ValueError(f"variants[{k}].gates[{place}].{error}") from error


def _check_parts(raw: dict[str, Any]) -> None:
    """Raise ValueError if a value that is used has another type, in a field of any values.

    Each may be absent.
    """
    whole = convert(raw, Manifest)
    parts: list[tuple[str, dict[str, Any], type]] = [
        ("data", whole.data, _Data),
        ("metrics", whole.metrics, _Metrics),
        *((f"variants[{k}].parity", v.parity, _Parity) for k, v in enumerate(whole.variants)),
    ]
    for place, values, kind in parts:
        try:
            convert(values, kind)
        except ValueError as error:
            raise ValueError(f"{place}.{error}") from error


def _missing(raw: dict[str, Any]) -> Iterator[str]:
    for place, names in _REQUIRED.items():
        part: Any = raw
        for step in place:
            part = part.get(step) if isinstance(part, dict) else None
        if isinstance(part, dict):
            yield from (".".join([*place, name]) for name in names if name not in part)


def _problems(manifest: Manifest) -> Iterator[str]:
    """Say what is wrong with values that contradict each other."""
    if manifest.classes != CLASSES:
        yield f"its classes are {excerpt(str(manifest.classes))}, wanted {CLASSES}"
    if not set(manifest.malignant) <= set(manifest.classes):
        yield f"malignant {excerpt(str(manifest.malignant))} is not a subset of its classes"
    trained_on = manifest.data.get("trained_on", [])
    if not isinstance(trained_on, list | tuple) or any(part not in SPLITS for part in trained_on):
        yield f"it was trained on {excerpt(str(trained_on))}, wanted parts of {SPLITS}"
    for name in manifest.files:
        if name == MANIFEST_NAME:
            yield f"{name!r} is not the name of a file in its folder, but of itself"
        if problem := problem_with_file_name(name):
            yield f"{excerpt(repr(name))} {problem}"
    for variant in manifest.variants:
        if variant.file not in manifest.files:
            yield f"the {variant.precision} graph {excerpt(repr(variant.file))} has no sha256"
        if len({gate.machine for gate in variant.gates}) < len(variant.gates):
            yield f"the {variant.precision} graph has two gates of one machine"
        for gate in variant.gates:
            if graph_precision(gate.precision) != variant.precision:
                yield f"the {variant.precision} graph has a gate of {gate.precision}"
    yield from filter(None, [problem_with(manifest.sentinels, manifest.files)])
    if manifest.other_images is not None:
        yield from _problems_of_figures(manifest.other_images, manifest.files)
    keys = [certificate.key for certificate in manifest.certificates]
    if len(set(keys)) < len(keys):
        yield "it has two certificates of one target and precision"


def _problems_of_figures(found: OtherImages, files: Collection[str]) -> Iterator[str]:
    names = [figures.name for figures in found.figures]
    if len(set(names)) < len(names):
        yield "other_images has two figures of one name"
    if (found.card is not None) != (CARD in files):
        yield f"other_images.card is {found.card}, wanted one where there is a {CARD}"


def _refused(path: Path, why: str) -> EngineError:
    return EngineError(f"{path} cannot be used: {why}.\nNext: hambatch engines list")
