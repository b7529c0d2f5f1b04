"""One structured report: what a row says of an image, as DICOM's TID 1500 has it.

A report is made of the row, of the identifiers that it carries, and of what scored it. No file is
read. The same of these give the same bytes, with the same highdicom and pydicom.
"""

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from typing import Any

from hambatch import __version__
from hambatch.engines.classes import CLASSES, NAMES, PROBABILITIES
from hambatch.sinks.columns import number_text
from hambatch.system.packages import require
from hambatch.system.text import encode_name
from hambatch.types import Row

SCHEME = "99HAMBATCH"
"""The designator of our own codes; DICOM reserves names that begin with 99 for private schemes."""

SNOMED: dict[str, tuple[str, str]] = {
    "bcc": ("254701007", "Basal cell carcinoma of skin"),
    "mel": ("1162635006", "Malignant melanoma"),
    "nv": ("400096001", "Melanocytic nevus"),
}
"""SNOMED CT's code and name of a class. The other classes join several concepts, or their code was
not found in a source that we can name: they have codes of :data:`SCHEME`."""

RESEARCH = "For research use only. Not a medical device. Computed without a person's review."

SERIES_NUMBER = 999
"""Behind the images of a study, where a viewer sorts series by number."""

UIDS = ("study_instance_uid", "series_instance_uid", "sop_class_uid", "sop_instance_uid")
"""Columns without which no report can say what it is about."""

_KINDS = {
    "patient_id": "LO",
    "patient_name": "PN",
    "patient_birth_date": "DA",
    "patient_sex": "CS",
    "study_date": "DA",
    "study_time": "TM",
    "study_id": "SH",
    "accession_number": "SH",
    "referring_physician_name": "PN",
    **dict.fromkeys(UIDS, "UI"),
}
"""Columns of identifiers, and DICOM's value representation of each."""

_SEXES = ("M", "F", "O")

_NOT_OF_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\\\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffd]")
"""Characters that no identifier has: a backslash separates several values, some let text be read
backwards, and the last stands for bytes that are no character of the file's character set."""


_STAND_IN = "1.2.840.10008.5.1.4.1.1.77.1.4"
"""VL Photographic Image Storage: highdicom copies patient and study by the class of the image, and
knows no private class. All classes of images have the same modules of patient and study."""

_NOT_TAKEN = (ValueError, TypeError, LookupError, AttributeError)
"""What highdicom and pydicom raise for values that they do not take."""


class NoReport(Exception):
    """An image whose report cannot be made, and why: one line that quotes no value."""


@dataclass(frozen=True)
class ScoredWith:
    """The engine that a report names: its name and version, and the hashes of its files."""

    engine: str
    version: str
    engine_sha256: str
    graph_sha256: str


@dataclass(frozen=True)
class Identified:
    """An image with the identifiers of its DICOM file.

    ``cells`` holds those that DICOM allows, by column, empty where there is none; ``left_empty``
    names the columns of the others. ``frame`` is from 1, or 0 for a file that is one image.
    """

    row: Row
    cells: Mapping[str, str]
    frame: int = 0
    left_empty: tuple[str, ...] = ()


def identified(row: Row, cells: Mapping[str, str | None], frame: int) -> Identified:
    """Sort out the identifiers that an image carries.

    Raises NoReport if the image was not scored, or a report could not say whose image it is.
    """
    if row.status != "ok":
        raise NoReport("the image was not scored")
    found = {name: cells.get(name) or "" for name in _KINDS}
    if not any(found[name] for name in UIDS):
        raise NoReport("not a DICOM file, or none whose header could be read")
    wrong = tuple(name for name, value in found.items() if value and not _is_allowed(name, value))
    missing = [name for name in UIDS if not found[name]]
    if missing:
        raise NoReport(f"the header has no {missing[0]}")
    for name in ("patient_id", *UIDS):
        if name in wrong:
            raise NoReport(f"the header's {name} is none that DICOM allows")
    return Identified(row, {**found, **dict.fromkeys(wrong, "")}, frame, wrong)


def _is_allowed(column: str, value: str) -> bool:
    from pydicom.config import RAISE
    from pydicom.valuerep import DA, TM, validate_value

    kind = _KINDS[column]
    try:
        value.encode()
        validate_value(kind, value, RAISE)
        if kind in ("DA", "TM"):
            # Its rule allows ranges, which queries have, and 30 February.
            return "-" not in value and bool({"DA": DA, "TM": TM}[kind](value))
    except (ValueError, OverflowError):
        return False
    return not _NOT_OF_TEXT.search(value) and (column != "patient_sex" or value in _SEXES)


class Reporter:
    """Makes the reports of a run; raises MissingDependency without highdicom."""

    def __init__(self, scored_with: ScoredWith) -> None:
        require_highdicom()
        self._with = scored_with
        self._device_uid = _uid("device", asdict(scored_with))

    def uid(self, image: Identified, made: datetime) -> str:
        """Give the SOP Instance UID: another one for whatever differs in a report."""
        row = {**asdict(image.row), "carried": None, "cells": dict(image.cells)}
        return _uid("report", self._made(made), image.frame, row)

    def report(self, image: Identified, made: datetime) -> bytes:
        """Make the report, as the bytes of a DICOM file; ``made`` is in UTC.

        Raises NoReport for identifiers that the libraries do not take, though DICOM allows them:
        one image must not cost the others their reports.
        """
        stream = io.BytesIO()
        with _silenced():
            try:
                self._dataset(image, made).save_as(stream, enforce_file_format=True)
            except _NOT_TAKEN:
                raise NoReport("highdicom cannot write a report of these identifiers") from None
        return stream.getvalue()

    def _made(self, made: datetime) -> list[Any]:
        by = [__version__, report_versions()["highdicom"]]
        return [*by, asdict(self._with), made.isoformat(timespec="seconds")]

    def _dataset(self, image: Identified, made: datetime) -> Any:
        from highdicom.coding_schemes import CodingSchemeIdentificationItem
        from highdicom.sr import ComprehensiveSR

        date, time = made.strftime("%Y%m%d"), made.strftime("%H%M%S")
        study = image.cells["study_instance_uid"]
        report: Any = ComprehensiveSR(
            evidence=[_evidence(image.cells)],
            content=self._content(image),
            series_instance_uid=_uid("series", self._made(made), study),
            series_number=SERIES_NUMBER,
            series_description="hambatch, for research use only",
            sop_instance_uid=self.uid(image, made),
            instance_number=max(image.frame, 1),
            manufacturer="hambatch",
            manufacturer_model_name="hambatch",
            software_versions=__version__,
            device_serial_number=self._with.engine_sha256,
            content_date=date,
            content_time=time,
            series_date=date,
            series_time=time,
            coding_schemes=[
                CodingSchemeIdentificationItem(
                    SCHEME, name="Codes of hambatch", responsible_organization="hambatch"
                )
            ],
        )
        _name_class(report, image.cells["sop_class_uid"])
        # highdicom writes the time of day into these.
        report.InstanceCreationDate, report.InstanceCreationTime = date, time
        for equipment in report.ContributingEquipmentSequence:
            equipment.ContributionDateTime = f"{date}{time}+0000"
        return report

    def _content(self, image: Identified) -> Any:
        from highdicom.sr import MeasurementReport, ObservationContext, ObserverContext
        from pydicom.sr.codedict import codes

        device = ObserverContext(codes.DCM.Device, self._device())
        return MeasurementReport(
            observation_context=ObservationContext(observer_device_context=device),
            procedure_reported=_code("446078004", "SCT", "Dermoscopic photography"),
            imaging_measurements=[self._group(image)],
        )

    def _device(self) -> Any:
        from highdicom.sr import DeviceObserverIdentifyingAttributes

        return DeviceObserverIdentifyingAttributes(
            uid=self._device_uid,
            name="hambatch",
            manufacturer_name="hambatch",
            model_name=f"{self._with.engine} {self._with.version}",
            serial_number=self._with.engine_sha256,
        )

    def _group(self, image: Identified) -> Any:
        from highdicom.sr import (
            MeasurementsAndQualitativeEvaluations,
            SourceImageForMeasurementGroup,
            TrackingIdentifier,
        )

        name, cells = encode_name(image.row.image), image.cells
        source = SourceImageForMeasurementGroup(
            cells["sop_class_uid"],
            cells["sop_instance_uid"],
            [image.frame] if image.frame else None,
        )
        tracked = _uid("image", cells["sop_instance_uid"], image.frame, name)
        return MeasurementsAndQualitativeEvaluations(
            tracking_identifier=TrackingIdentifier(uid=tracked, identifier=name),
            algorithm_id=self._algorithm(image.row),
            measurements=list(_measurements(image.row)),
            qualitative_evaluations=list(_evaluations(image.row)),
            source_images=[source],
        )

    def _algorithm(self, row: Row) -> Any:
        from highdicom.sr import AlgorithmIdentification

        return AlgorithmIdentification(
            name=self._with.engine,
            version=self._with.version,
            manufacturer="hambatch",
            parameters=[
                RESEARCH,
                f"hambatch {__version__}",
                f"engine.json sha256 {self._with.engine_sha256}",
                f"graph sha256 {self._with.graph_sha256}",
                f"backend {row.backend}",
                f"decoder {row.decoder}",
                f"image file sha256 {row.sha256}",
            ],
        )


def report_versions() -> dict[str, str]:
    """Name the versions of what reports are written with; nothing is imported."""
    return {name: version(name) for name in ("highdicom", "pydicom")}


def require_highdicom() -> None:
    """Raise MissingDependency if highdicom is not installed."""
    require("highdicom", extra="dicom", purpose="--format dicom-sr")


def code_of(label: str) -> tuple[str, str, str]:
    """Give the coded class: value, scheme, meaning."""
    if label in SNOMED:
        value, meaning = SNOMED[label]
        return value, "SCT", meaning
    return label, SCHEME, NAMES[label][0].upper() + NAMES[label][1:]


def _measurements(row: Row) -> Iterator[Any]:
    from highdicom.sr import Measurement
    from pydicom.sr.codedict import codes

    meanings = [f"Probability of {NAMES[label]}" for label in CLASSES]
    meanings.append("Probability of a malignant or pre-malignant class")
    columns, values = (*PROBABILITIES, "p_malignant"), (*row.probabilities, row.malignant)
    for column, meaning, value in zip(columns, meanings, values, strict=True):
        # As a table says it: the malignant one is a sum, whose float has further digits.
        said = float(number_text(value))
        yield Measurement(_code(column, SCHEME, meaning), said, codes.UCUM.NoUnits)


def _evaluations(row: Row) -> Iterator[Any]:
    from highdicom.sr import QualitativeEvaluation
    from pydicom.sr.codedict import codes

    predicted = _code("prediction", SCHEME, "Predicted class")
    yield QualitativeEvaluation(predicted, _code(*code_of(row.prediction)))
    use = _code("intended_use", SCHEME, "Intended use")
    yield QualitativeEvaluation(use, codes.DCM.ForResearch)


def _code(value: str, scheme: str, meaning: str) -> Any:
    from highdicom.sr import CodedConcept

    return CodedConcept(value, scheme, meaning)


def _evidence(cells: Mapping[str, str]) -> Any:
    """Give what highdicom takes patient, study and reference from, in place of the image."""
    from pydicom import Dataset
    from pydicom.datadict import tag_for_keyword

    image = Dataset()
    image.SpecificCharacterSet = "ISO_IR 192"
    for column, value in cells.items():
        tag = tag_for_keyword(_keyword(column))
        if tag is None:
            raise AssertionError(f"DICOM has no {_keyword(column)}")
        image.add_new(tag, _KINDS[column], value)
    image.SOPClassUID = _STAND_IN
    return image


def _name_class(report: Any, uid: str) -> None:
    """Put the image's own SOP class into the list of what the report is about."""
    for study in report.CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            for instance in series.ReferencedSOPSequence:
                instance.ReferencedSOPClassUID = uid


def _keyword(column: str) -> str:
    words = column.split("_")
    return "".join(w.upper() if w in ("id", "uid", "sop") else w.capitalize() for w in words)


def _uid(*parts: Any) -> str:
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[json.dumps(parts, sort_keys=True)]))


@contextmanager
def _silenced() -> Iterator[None]:
    """Let no warning of the libraries quote a patient's name."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [one.level for one in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in loggers:
            one.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for one, level in zip(loggers, levels, strict=True):
                one.setLevel(level)
