"""Names of outputs: a name that promises something else than what is written is refused."""

import errno
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from hambatch.errors import InputError
from hambatch.system.files import followed

CSV, HTML, JSON, PNG = (".csv",), (".html", ".htm"), (".json",), (".png",)

COMPRESSED = frozenset(".gz .bgz .bz2 .xz .zst .lz4 .zip .tar .tgz .7z".split())

SPREADSHEETS = frozenset(".xls .xlsm .xlsb .ods .numbers".split())
"""What spreadsheet programs write too; all of them read .xlsx."""

FOREIGN = (
    COMPRESSED
    | SPREADSHEETS
    | frozenset(
        # tables and data
        ".csv .tsv .tab .psv .xlsx .parquet .pq .feather .arrow .orc"
        " .avro .json .jsonl .ndjson .geojson .xml .yaml .yml .toml .db .sqlite .sqlite3 .duckdb"
        " .npy .npz .h5 .hdf5 .mat .pkl .pickle .rds .rdata .dta .sav .sas7bdat"
        # documents, pages, pictures
        " .html .htm .md .pdf .doc .docx .odt .rtf .ppt .pptx .jpg .jpeg .png .gif .bmp .tif .tiff"
        " .webp .svg .dcm .heic .avif"
        # models and programs
        " .onnx .pt .pth .tflite .engine .plan .py .ipynb .exe".split()
    )
)
"""Suffixes that name a format: a file of another format has none of them."""

STANDARD_OUTPUT = "-"

LONGEST_BESIDE = (
    ".{name}.stopped.json.00000000.tmp",
    "{name}.journal/.listing.now.00000000.tmp.sort",
)
"""The longest names that are written beside an output, or below its folder."""


def check_file_name(out: Path, suffixes: Sequence[str], what: str, option: str = "--out") -> None:
    """Refuse a file name with any suffix but those of ``what``; one without a suffix is fine.

    Raises InputError, which names a file that may be written instead.
    """
    refuse_standard_output(out, option)
    if path := misnamed(out, suffixes):
        raise refused_suffix(out, path, what, option, suffixes[0])


def misnamed(out: Path, suffixes: Collection[str], *, free: bool = False) -> Path | None:
    """Give ``out``, or the file that its link leads to, if its suffix promises something else.

    ``free``: besides ``suffixes``, ``out`` may have any that names no format, such as ``.txt``.
    """
    for path in (out, followed(out)):
        suffix = path.suffix.lower()
        unknown = suffix in FOREIGN or (path == out and not free)
        if suffix and suffix not in suffixes and unknown:
            return path
    return None


def check_folder_name(out: Path, option: str = "--out") -> None:
    """Refuse a folder that is called like a file, unless it is there.

    Raises InputError, which names a folder that may be written instead.
    """
    refuse_standard_output(out, option)
    if out.suffix.lower() in FOREIGN and not os.path.exists(out):
        raise InputError(
            f"{option} {out} has the suffix of a file, wanted the name of a folder: several files "
            f"are written.\nNext: {option} {out.with_suffix('')}"
        )


def refuse_standard_output(out: Path, option: str = "--out") -> None:
    """Raise InputError for ``-``, which would be a file of that name."""
    if str(out) == STANDARD_OUTPUT:
        raise InputError(
            f"{option} - would be a file of that name: nothing is written to standard output.\n"
            "Next: name an output"
        )


def refuse_long_name(out: Path, option: str = "--out") -> None:
    """Refuse a name that has no room for the longer names of what is written beside it.

    The file system is asked: some take 255 bytes, some 143, and a whole path may have 4,095.
    Raises InputError.
    """
    path = followed(out)
    for form in LONGEST_BESIDE:
        longest = path.parent / form.replace("{name}", path.name)
        try:
            os.lstat(longest)
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise InputError(
                    f"{option} {out} has a name of {len(os.fsencode(path.name))} bytes, too long "
                    f"for this file system: names beside it are up to "
                    f"{len(os.fsencode(longest.name)) - len(os.fsencode(path.name))} longer.\n"
                    "Next: name an output with a shorter name or path"
                ) from error


def refused_suffix(out: Path, path: Path, what: str, option: str, suffix: str) -> InputError:
    """Say that ``path``, which is ``out`` or where its link leads, is not named for ``what``."""
    through = f" leads to {path}, which" if path != out else ""
    return InputError(
        f"{option} {out}{through} has the suffix {path.suffix}, but {what} is written.\n"
        f"Next: {option} {path.with_suffix(suffix)}"
    )
