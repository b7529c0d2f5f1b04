"""Which TensorRT is used: the oldest, and the names under which pip knows it."""

OLDEST = (11, 4)
"""The version whose bindings every name that is used was compared with, and the bound of the
extra ``gpu``. From 11 on every network is strongly typed: its precision is what the ONNX says, and
``create_network(0)`` makes such a one. With 10 and before the same call makes a weakly typed
network, which TensorRT may compute in other precisions."""

BINDINGS = ("tensorrt-cu12-bindings", "tensorrt-cu13-bindings")
"""What brings the module, for CUDA 12 or 13; all other packages depend on one of them."""

DISTRIBUTIONS = ("tensorrt", "tensorrt-cu12", "tensorrt-cu13", *BINDINGS)
"""All names, those that bring the libraries first."""
