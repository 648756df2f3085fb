"""From a depth frame to poses: proposals, the palm graph, the look into each, tracks, and the One-Euro filter."""
