"""`engine.json`: the contract of an engine folder, as typed values."""

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from hambatch.engines.calibration import Calibration, read_calibration
from hambatch.engines.classes import CLASSES, MALIGNANT, SPLITS
from hambatch.engines.gates import Gate, read_gate
from hambatch.engines.sentinels import Sentinels, problem_with, read_sentinels
from hambatch.errors import EngineError
from hambatch.system.files import sha256_of_bytes

SEAL = "sha256"


def sealed(values: dict[str, Any]) -> dict[str, Any]:
    """Add the seal of JSON-able ``values``, in the place of any that they have."""
    return {**values, SEAL: seal_of(values)}


def seal_of(values: dict[str, Any]) -> str:
    """Hash all values but the seal itself, whatever their order and the white space.

    SHA-256, lowercase hexadecimal, of the values as JSON in ASCII: keys sorted, no spaces.
    """
    others = {name: value for name, value in values.items() if name != SEAL}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"))
    return sha256_of_bytes(text.encode("ascii"))


def broken(values: dict[str, Any]) -> str | None:
    """Say how values as read differ from those that were written; an old file has no seal."""
    found = seal_of(values)
    wanted = values.get(SEAL, found)
    if wanted == found:
        return None
    return f"it was changed after it was written: its values have sha256 {found}, not {wanted!r}"


FORMAT = 1
"""Version of the fields below; any other is refused."""


MANIFEST_NAME = "engine.json"


Section = TypeVar("Section")


@dataclass(frozen=True)
class InputSpec:
    """The graph's input: ``[batch, height, width, 3]``."""

    name: str = "images"
    dtype: str = "uint8"
    layout: str = "NHWC"
    colour: str = "RGB"
    height: int = 224
    width: int = 224


@dataclass(frozen=True)
class Preprocessing:
    """What happens between encoded bytes and the graph's input."""

    exif_orientation: bool = True
    resize: str = "stretch"
    interpolation: str = "linear"
    antialias: bool = False


@dataclass(frozen=True)
class EngineFile:
    """A file of the folder; an ``optional`` one may be absent, never altered."""

    sha256: str
    bytes: int
    optional: bool = False


@dataclass(frozen=True)
class Variant:
    """One graph of the engine and how far it is from the Keras reference.

    ``gates``: what it costs against the FP32 graph, an entry a backend and instruction set.
    """

    precision: str
    file: str
    parity: dict[str, Any] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()


FEATURES = 2048
"""Values an image of the output ``features``: the channels of ResNet50's last block."""


@dataclass(frozen=True)
class Manifest:
    """All of ``engine.json``.

    ``files`` names every file of the folder but ``engine.json`` itself;
    ``sentinels`` are pictures whose probabilities are known. ``calibration`` comes after them
    and is for users (:mod:`hambatch.engines.probabilities`); None: there is none.
    ``metrics`` and ``data`` say what was measured on what; ``training`` is the configuration
    that made the weights.
    """

    name: str
    version: str
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
    format: int = FORMAT

    def to_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields, and their seal.

        No ``calibration`` where there is none.
        """
        values = asdict(self)
        if self.calibration is None:
            del values["calibration"]
        return sealed(values)

    def variant(self, precision: str) -> Variant:
        """Find the graph of one precision.

        Raises
        ------
        EngineError
            If the engine has no such graph.
        """
        for variant in self.variants:
            if variant.precision == precision:
                return variant
        offered = ", ".join(v.precision for v in self.variants) or "none"
        raise EngineError(
            f"the engine {self.name} has no {precision} graph; it has: {offered}.\n"
            f"Next: hambatch engines show {self.name}"
        )


def read_manifest(folder: Path) -> Manifest:
    """Read and check ``engine.json``; the files it names are not opened.

    Raises
    ------
    EngineError
        If the folder or the file is missing, is no JSON object, has another
        ``format``, was changed after it was written, or has fields missing,
        unknown or of the wrong type.
    """
    path = folder / MANIFEST_NAME
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise EngineError(
            f"no engine at {folder}: {MANIFEST_NAME} cannot be read ({error.strerror}).\n"
            "Next: hambatch engines list"
        ) from error
    except ValueError as error:
        raise _refused(path, f"it is not JSON ({error})") from error
    found = raw.get("format") if isinstance(raw, dict) else None
    if found != FORMAT:
        raise _refused(path, f"its format is {found!r}, this hambatch reads {FORMAT}")
    return _manifest(path, raw)


def _manifest(path: Path, raw: dict[str, Any]) -> Manifest:
    why = broken(raw)
    if why:
        raise _refused(path, why)
    values = {name: value for name, value in raw.items() if name != SEAL}
    try:
        values["input"] = InputSpec(**raw["input"])
        values["preprocessing"] = Preprocessing(**raw["preprocessing"])
        values["files"] = {name: EngineFile(**entry) for name, entry in raw["files"].items()}
        values["variants"] = tuple(_variant(**entry) for entry in raw["variants"])
        values["classes"] = tuple(raw["classes"])
        values["malignant"] = tuple(raw["malignant"])
        # Engines from before calibrations have one, which nothing ever set to another number.
        graphs_own = values.pop("temperature", 1.0)
        if "calibration" in raw:
            values["calibration"] = read_calibration(raw["calibration"])
        if "sentinels" in raw:
            values["sentinels"] = read_sentinels(raw["sentinels"])
        manifest = Manifest(**values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        known = ", ".join(f.name for f in fields(Manifest))
        raise _refused(path, f"{error}; the fields are: {known}") from error
    if graphs_own != 1.0:
        raise _refused(path, f"its temperature is {graphs_own!r}, wanted a calibration instead")
    _check(path, manifest)
    return manifest


def _variant(gates: Any = (), **others: Any) -> Variant:
    return Variant(**others, gates=tuple(read_gate(gate) for gate in gates))


def _check(path: Path, manifest: Manifest) -> None:
    if manifest.classes != CLASSES:
        raise _refused(path, f"its classes are {manifest.classes}, wanted {CLASSES}")
    if not set(manifest.malignant) <= set(manifest.classes):
        raise _refused(path, f"malignant {manifest.malignant} is not a subset of its classes")
    trained_on = manifest.data.get("trained_on", ())
    if not set(trained_on) <= set(SPLITS):
        raise _refused(path, f"it was trained on {trained_on}, wanted parts of {SPLITS}")
    for name in manifest.files:
        if Path(name).name != name or name in {"", ".", "..", MANIFEST_NAME}:
            raise _refused(path, f"{name!r} is not the name of a file in its folder")
    for variant in manifest.variants:
        if variant.file not in manifest.files:
            raise _refused(path, f"the {variant.precision} graph {variant.file!r} has no sha256")
        if len({(gate.backend, gate.instruction_set) for gate in variant.gates}) < len(
            variant.gates
        ):
            raise _refused(path, f"the {variant.precision} graph has two gates of one machine")
    problem = problem_with(manifest.sentinels, manifest.files, len(manifest.classes))
    if problem:
        raise _refused(path, problem)


def _refused(path: Path, why: str) -> EngineError:
    return EngineError(f"{path} cannot be used: {why}.\nNext: hambatch engines list")
