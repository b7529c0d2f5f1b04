"""The JSON beside a plan: what it is, what it was built for, how it was tried."""

import json
import re
from dataclasses import MISSING, asdict, dataclass, field, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from hambatch.backends.tensorrt.plans.invariance import Invariance
from hambatch.system.cache import key_of

T = TypeVar("T")


LARGEST = 1e18
"""Of a number: above all that is counted or measured here, and a float holds it."""


def typed(kind: type[T], raw: object) -> T:
    """Make a dataclass of what JSON says.

    Fields are text, numbers, truth values, objects (``dict``), tuples of integers, or such
    dataclasses.

    Raises
    ------
    ValueError
        If a field is missing, unknown or of another type.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"{kind.__name__} is {type(raw).__name__}, wanted an object")
    hints = get_type_hints(kind)
    for name in raw.keys() - hints.keys():
        raise ValueError(f"unknown field {name!r}")
    for one in fields(kind):  # type: ignore[arg-type]
        optional = one.default is not MISSING or one.default_factory is not MISSING
        if one.name not in raw and not optional:
            raise ValueError(f"missing one {one.name!r}")
    return kind(**{name: _value(hints[name], value, name) for name, value in raw.items()})


def number(value: object, name: str) -> float:
    """Check a number: no truth value, NaN or infinity."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _other(value, name, "a number")
    if not abs(value) <= LARGEST:
        raise ValueError(f"{name} is no number that can be")
    return value


def _value(hint: Any, value: Any, name: str) -> Any:
    if is_dataclass(hint):
        return typed(hint, value)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        return _integers(get_args(hint), value, name)
    if hint is float:
        return number(value, name)
    wanted = get_origin(hint) or hint
    if type(value) is not wanted:
        raise _other(value, name, wanted.__name__)
    if wanted is int:
        number(value, name)
    if wanted is str:
        # A lone surrogate is legal JSON, and cannot be printed; it raises UnicodeError.
        value.encode()
    return value


def _integers(hints: tuple[Any, ...], value: Any, name: str) -> tuple[int, ...]:
    if not isinstance(value, list) or (hints[-1] is not ... and len(value) != len(hints)):
        raise _other(value, name, "a list of integers")
    return tuple(_value(int, one, name) for one in value)


def _other(value: object, name: str, wanted: str) -> ValueError:
    return ValueError(f"{name} is {type(value).__name__}, wanted {wanted}")


@dataclass(frozen=True)
class PlanKey:
    """All that a plan was built from, with and for.

    Attributes
    ----------
    onnx_sha256
        Of the graph in the engine's folder that it was made from.
    form
        Of the build (:data:`hambatch.backends.tensorrt.plans.builder.FORM`).
    capability
        Compute capability, such as ``9.0``.
    driver
        Its version; empty where NVML does not tell it, as in some containers.
    cuda
        The newest CUDA that the driver runs, as it numbers versions: 12040 is 12.4.
    profile
        The smallest, the usual and the largest batch.
    """

    onnx_sha256: str
    precision: str
    form: int
    tensorrt: str
    gpu: str
    capability: str
    driver: str
    cuda: int
    profile: tuple[int, int, int]
    workspace_megabytes: int
    hardware_compatible: bool
    version_compatible: bool

    @property
    def name(self) -> str:
        """The sha256 of all parts."""
        return key_of(asdict(self))

    def differences(self, wanted: "PlanKey") -> list[str]:
        """Name each part that is another one, with what it is and what was wanted."""
        return [
            f"{part.name} {getattr(self, part.name)}, wanted {getattr(wanted, part.name)}"
            for part in fields(self)
            if getattr(self, part.name) != getattr(wanted, part.name)
        ]


def nearest(keys: list[PlanKey], wanted: PlanKey) -> str:
    """Say what is different about the plan that comes nearest; empty if there is no plan."""
    differences = sorted((key.differences(wanted) for key in keys), key=len)
    return "; ".join(differences[0]) if differences else ""


FORMAT = 1


@dataclass(frozen=True)
class PlanRecord:
    """One plan.

    Attributes
    ----------
    engine
        Name of the engine that it was built from.
    built
        When, in UTC; it took ``seconds``.
    known_pictures
        How far the plan's answers are from the engine's record; empty if it has none.
    conversion
        How far FP16 is from FP32, of an FP16 plan; else empty.
    """

    key: PlanKey
    sha256: str
    size_bytes: int
    engine: str
    built: str
    seconds: float
    invariance: Invariance
    known_pictures: dict[str, Any] = field(default_factory=dict)
    conversion: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def file(self) -> str:
        """Name of the plan's file: two builds of one key never write the same one."""
        return plan_file(self.key.name, self.sha256)

    def to_json(self) -> bytes:
        """Write all of it as JSON."""
        return json.dumps(asdict(self), indent=2, allow_nan=False).encode() + b"\n"


def plan_file(key_name: str, sha256: str) -> str:
    """Name the file of a plan's bytes."""
    return f"{key_name}-{sha256[:16]}.plan"


def read_record(content: bytes) -> PlanRecord:
    """Read a record.

    Raises
    ------
    ValueError
        If it is not one.
    """
    try:
        raw = json.loads(content)
        if raw["format"] != FORMAT:
            raise ValueError(f"its format is {raw['format']!r}, wanted {FORMAT}")
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"it is no object with a format: {error}") from error
    record = typed(PlanRecord, raw)
    if not re.fullmatch("[0-9a-f]{64}", record.sha256):
        raise ValueError(f"its sha256 is {record.sha256!r}, wanted 64 hexadecimal digits")
    if record.known_pictures:
        _check_numbers(record.known_pictures, "images", "max_difference", "tolerance")
    if record.conversion:
        values = record.conversion.get("values")
        _check_numbers(values if isinstance(values, dict) else {}, "max_difference")
    return record


def _check_numbers(answers: dict[str, Any], *names: str) -> None:
    for name in names:
        number(answers.get(name), name)
