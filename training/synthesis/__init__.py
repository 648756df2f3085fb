"""Synthetic depth: scenes with hands, people and things, the rasterizer, the depth camera's faults, and hands in motion."""
