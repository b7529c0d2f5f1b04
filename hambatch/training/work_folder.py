"""`OUT.work`: where a training keeps what is not yet, or never, part of its engine."""

from pathlib import Path

from hambatch.errors import InputError


def work_folder(out: Path) -> Path:
    """Make ``OUT.work``: the engine folder holds nothing but what its manifest names.

    Raises
    ------
    InputError
        If it cannot be made.
    """
    folder = out.with_name(out.name + ".work")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the work folder {folder}: {error.strerror}.\n"
            "Next: name an --out in a folder that you may write to"
        ) from error
    return folder
