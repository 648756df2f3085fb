"""Frozen values shared by all rooms: depth frames, ROIs, poses, joints, intrinsics, array types, errors."""
