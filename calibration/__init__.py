"""Calibration sets, INT8 quantization, per-layer sensitivity, the accuracy gate and its report."""
