"""Calibration sets, INT8 graphs, what each layer costs in millimetres, the gate and its report."""
