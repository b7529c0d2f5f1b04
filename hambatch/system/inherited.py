"""What a process inherits: settings that libraries read, and OpenVINO's reports of its use.

Everything here acts before the first library is imported, and every child process takes over the
environment that is left.
"""

import os
import stat
import sys
from pathlib import Path

from hambatch.errors import InputError

PREFIXES = (
    "DALI_",
    "DNNL_",
    "GOMP_",
    "ITT_",
    "JSIMD_",
    "KERAS_",
    "KMP_",
    "MKL_",
    "MLIR_",
    "NPY_",
    "NUMPY_",
    "NVIMGCODEC_",
    "OMP_",
    "ONEDNN_",
    "OPENBLAS_",
    "OPENVINO_",
    "OV_",
    "PANDAS_",
    "SCIPY_",
    "TBB_",
    "TF2ONNX_",
    "TF_",
    "TQDM_",
    "XLA_",
)
"""Variables of libraries begin with these: they choose kernels, number formats, plug-ins, logs."""

NAMES = ("MPLBACKEND", "NVIDIA_TF32_OVERRIDE")
"""More of them."""

KEPT = frozenset(
    {
        # Limits of processor and memory: they change no result.
        "MKL_NUM_THREADS",
        "OMP_NUM_THREADS",
        "OMP_THREAD_LIMIT",
        "OPENBLAS_NUM_THREADS",
        "TF_FORCE_GPU_ALLOW_GROWTH",
        "TF_NUM_INTEROP_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        # Remedies for processors whose caches or kernels OpenBLAS finds wrongly: without them numpy
        # may end the process. They change the last digit of a figure, and no row.
        "OPENBLAS_CORETYPE",
        "OPENBLAS_L2_SIZE",
        # How much TensorFlow writes, and where Keras keeps the weights that it downloaded.
        "KERAS_HOME",
        "TF_CPP_MIN_LOG_LEVEL",
        # Whether there is a progress bar at all.
        "TQDM_DISABLE",
    }
)
"""Variables with such a prefix that stay."""

CHOSEN = {"KERAS_BACKEND": "tensorflow"}
"""What hambatch needs; without the variable, Keras takes it from a file in the home folder."""


def settle_environment() -> None:
    """Remove the settings that libraries would read, and set those that hambatch needs."""
    for name in list(os.environ):
        if name in NAMES or (name.startswith(PREFIXES) and name not in KEPT):
            del os.environ[name]
    os.environ.update(CHOSEN)


def choose_one_blas_thread() -> None:
    """Let numpy start no thread of its own, here and in child processes, if nobody chose a number.

    For work that multiplies no large matrices: OpenBLAS's threads cost 0.1 s of processor time as
    they start, in every process.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def settle_home() -> Path | None:
    """Give a user without a usable home a private folder for temporary files in its place.

    In a container (``docker run --user 12345``) HOME may be unset or ``/``, and the system may
    know no such user. Libraries then keep settings in a folder named ``~`` among the images, or in
    ``/tmp``, where any user can put them. Gives the folder if it was made now, so that it is said
    once; without room for temporary files, all stays as it is. Raises InputError if the folder is
    another user's.
    """
    home = os.path.expanduser("~")
    if os.path.isabs(home) and any(map(_is_usable, (home, os.path.join(home, ".cache")))):
        return None
    import tempfile

    try:
        # By number: the system may have no name for the user.
        folder = Path(tempfile.gettempdir(), f"hambatch-{os.geteuid()}")
    except FileNotFoundError:
        return None
    made = _made_private(folder)
    os.environ["HOME"] = str(folder)
    return folder if made else None


def _is_usable(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)


def _made_private(folder: Path) -> bool:
    """Make a folder; one that is there has to be this user's alone."""
    try:
        folder.mkdir(0o700)
        return True
    except FileExistsError:
        found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise InputError(
            f"{folder} is no folder of this user alone, wanted one for the settings and caches of "
            "a user without a home.\nNext: set HOME to a folder of your own that you may write to"
        )
    return False


def without_telemetry() -> None:
    """Keep OpenVINO from reporting its use, in this process.

    With the package ``openvino_telemetry``, ``import openvino`` connects to an analytics host and
    writes a number for this user to ``~/intel``. Without it OpenVINO does neither, by itself.
    """
    # Python raises ModuleNotFoundError for a module that is None. The file by which users decline
    # lies in their home folder, and is theirs; no variable of OpenVINO's declines.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def refuse_optimisation() -> None:
    """Raise InputError if Python leaves out assertions or docstrings, which libraries need."""
    level = sys.flags.optimize
    if level:
        raise InputError(
            f"Python runs with optimisation level {level} (python -O, or PYTHONOPTIMIZE): it "
            "leaves out checks of libraries, and DALI cannot be imported at level 2; wanted "
            "level 0.\nNext: unset PYTHONOPTIMIZE, or leave out -O"
        )


def check_interpreter() -> None:
    """Raise InputError as :func:`refuse_optimisation`, or if file names are not taken for UTF-8."""
    refuse_optimisation()
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8":
        raise InputError(
            f"Python takes file names for {encoding} here, and would not find every file of "
            "a table again; wanted utf-8.\nNext: set PYTHONUTF8=1"
        )
