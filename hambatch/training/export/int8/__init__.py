"""The INT8 graph of an engine, made from its FP32 graph and unlabelled training images."""
