"""What a process inherits: settings that libraries read, and OpenVINO's reports of its use.

Everything here acts before the first library is imported, and every child process takes over the
environment that is left.
"""

import os
import sys

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
