"""Calibration sets, INT8 graphs, what each layer costs in millimeters, the gate and its report."""
