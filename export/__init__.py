"""Trained program -> ONNX -> simplified -> bundle."""
