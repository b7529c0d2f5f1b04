"""The accuracy gate: what INT8 costs against FP32, measured on this machine."""
