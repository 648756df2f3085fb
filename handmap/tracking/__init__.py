"""From a depth frame to hand poses: region proposals, palm detector, pose estimation, tracks, and the One-Euro filter."""
