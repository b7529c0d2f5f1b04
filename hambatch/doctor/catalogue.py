"""The packages that hambatch can use, and what for."""

from typing import NamedTuple

from hambatch.gpu.tensorrt_release import DISTRIBUTIONS, OLDEST

SCORING, GPU, TRAINING = "scoring", "scoring on a GPU", "training and export"
TRUTH, PARQUET, PLOTS = "evaluation and splits", "Parquet tables", "plots"


class Package(NamedTuple):
    """A package: how it is imported, under which names pip knows it, how it is installed.

    Attributes
    ----------
    module
        What is imported to see whether it works.
    distributions
        The names under which it is distributed; the first one is told where none is there.
    needed_for
        One of the purposes above.
    install
        The line to type.
    least
        The oldest version that works, where pip does not see to that.
    """

    module: str
    distributions: tuple[str, ...]
    needed_for: str
    install: str
    least: tuple[int, ...] = ()


FOR_SCORING = (
    Package("numpy", ("numpy",), SCORING, "pip install numpy"),
    Package("PIL.Image", ("pillow",), SCORING, "pip install pillow"),
    Package("openvino", ("openvino",), SCORING, "pip install openvino"),
)

DALI = Package(
    "nvidia.dali",
    ("nvidia-dali-cuda120", "nvidia-dali-cuda130"),
    SCORING,
    "pip install nvidia-dali-cuda120",
)

FOR_TABLES = (
    Package("pandas", ("pandas",), TRUTH, "pip install pandas"),
    Package("pyarrow.parquet", ("pyarrow",), PARQUET, "pip install 'hambatch[parquet]'"),
    Package("matplotlib.figure", ("matplotlib",), PLOTS, "pip install 'hambatch[plot]'"),
)

INSTALL_TRAINING = "pip install 'hambatch[train]'"

FOR_TRAINING = (
    Package("tensorflow", ("tensorflow-cpu", "tensorflow"), TRAINING, INSTALL_TRAINING),
    Package("keras", ("keras",), TRAINING, INSTALL_TRAINING),
    Package("h5py", ("h5py",), TRAINING, INSTALL_TRAINING),
    Package("onnx", ("onnx",), TRAINING, INSTALL_TRAINING),
    Package("tf2onnx", ("tf2onnx",), TRAINING, INSTALL_TRAINING),
)

TENSORRT = Package(
    "tensorrt",
    DISTRIBUTIONS,
    GPU,
    # Its libraries come from an index of NVIDIA; that package fetches them while it installs.
    "pip install tensorrt-cu12",
    least=OLDEST,
)

FOR_GPU = (TENSORRT, Package("pycuda.driver", ("pycuda",), GPU, "pip install pycuda"))
