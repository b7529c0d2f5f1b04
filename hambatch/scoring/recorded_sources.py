"""The sources of a finished run, found again by its record."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hambatch.errors import InputError
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import sources_of
from hambatch.sources.source import Sources
from hambatch.system.text import decode_name


def recorded_sources(
    record: Mapping[str, Any], options: ScoreOptions, words: Sequence[Path] = ()
) -> Sources:
    """Find where the images of a run lie: where ``words`` say, else where its record does.

    ``options`` are those of the run; identifiers of DICOM files are not read again. Raises
    InputError if something of it is not there, or is not named: paths that came on stdin are in no
    record.
    """
    options = replace(options, keep_ids=False)
    if words:
        return sources_of(words, options)
    source = record.get("source")
    named = source if isinstance(source, list) else [source]
    paths = [Path(decode_name(name)) for name in named if name and isinstance(name, str)]
    try:
        if not paths:
            raise InputError("the record names no source.")
        return sources_of(paths, options)
    except InputError as error:
        found, *_ = str(error).splitlines()
        raise InputError(
            f"{found}\nNext: add --source SOURCE, which says where the images lie now; once for "
            "each source of the run, in the same order"
        ) from error
