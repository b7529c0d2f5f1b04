"""Where Python looks for modules: never in the current folder, which may hold anyone's files.

``python -m`` and ``python -c`` search the current folder first, and multiprocessing starts its
processes with ``-c``: a file ``pickle.py`` among the images would run in place of Python's own.
This module imports only what Python itself has loaded, so that it can act before every other.
"""

import os
import sys

FOLDER_LISTS = ("PYTHONPATH", "PATH", "LD_LIBRARY_PATH")
"""Variables of folders with ``:`` between them; an empty entry is the current folder."""


def leave_out_folder_of_module() -> None:
    """Undo what ``python -m hambatch`` put first; call it while the package is imported.

    A program that imports hambatch keeps its search path.
    """
    if sys.argv[:1] != ["-m"] or sys.flags.safe_path:
        return
    # The options of Python, -m, the module, and what sys.argv holds after its "-m".
    module = sys.orig_argv[-len(sys.argv)]
    if module.startswith("-"):  # -mhambatch, -Bmhambatch
        module = module.partition("m")[2]
    if module.partition(".")[0] == "hambatch" and sys.path[:1] == [_current_folder()]:
        _leave_out({sys.path[0]}, only_first=True)


def leave_out_current_folder() -> None:
    """Search the current folder neither here nor in processes started later.

    Folders that PYTHONPATH names stay; an empty entry, as ``$PYTHONPATH:/opt/x`` leaves where
    the variable was not set, names none. Relative entries go: an editable install adds one that
    is no folder, until somebody makes it.
    """
    here, named = _current_folder(), os.environ.get("PYTHONPATH", "").split(os.pathsep)
    by_name = {os.path.abspath(folder) for folder in named if folder} if here else set()
    by_accident = len(named) > 1 and "" in named and here not in by_name
    relative = {folder for folder in sys.path if not os.path.isabs(folder)}
    _leave_out({*relative, here} if by_accident else relative)
    for name in FOLDER_LISTS:
        entries = os.environ.get(name, "").split(os.pathsep)
        if len(entries) > 1 and "" in entries:
            os.environ[name] = os.pathsep.join(filter(None, entries))


def path_of_children() -> list[str]:
    """Give the search path of processes, in which no file of the program's hides a package.

    The folder of the program, and what else stands before Python's own library, comes last, but
    for the folders that PYTHONPATH names. Relative folders go, and so does the current one,
    unless the program or hambatch itself lies there.
    """
    path = [folder for folder in sys.path if os.path.isabs(folder)]
    library = os.path.dirname(os.__file__)
    start = path.index(library) if library in path else 0
    named = set(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    named = set() if sys.flags.ignore_environment else {os.path.abspath(name) for name in named}
    here, ahead = _current_folder(), path[:start]
    allowed = {_folder_of_program(), _home()}
    moved = [name for name in ahead if name not in named and (name != here or name in allowed)]
    if not {_home()} & {*path} and here == _home():  # found by a relative entry
        moved.append(here)
    return [*(name for name in ahead if name in named), *path[start:], *moved]


def _folder_of_program() -> str:
    """Give the folder of the script that Python was started with; empty if there is none."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    # Of -m and -c the first entry is the current folder, wherever the module was found.
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    return os.path.dirname(os.path.realpath(script)) if script and spec is None else ""


def _home() -> str:
    """Give the folder in which hambatch itself is found."""
    return os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _current_folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # deleted: Python searches what it found when it started
        return ""


def _leave_out(folders: set[str], *, only_first: bool = False) -> None:
    kept = sys.path[1:] if only_first else [name for name in sys.path if name not in folders]
    # From a checkout that is not installed: hambatch itself is found there, and last.
    home = _home()
    found_there = home in folders or ("" in folders and home == _current_folder())
    if found_there and home not in kept and len(kept) < len(sys.path):
        kept.append(home)
    sys.path[:] = kept
