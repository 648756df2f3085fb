"""Between the camera frame and a network's view of a hand: crop, decode, stray pixels. On an array module, NumPy or CuPy."""
