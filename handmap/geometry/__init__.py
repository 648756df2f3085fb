"""Geometry between the camera frame and a hand's crop: crop, decode, despeckle. Runs on NumPy or CuPy."""
