"""Frozen values that every other room speaks in: depth frames, views, poses, joints, intrinsics, array types, errors."""
