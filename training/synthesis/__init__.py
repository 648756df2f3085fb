"""Synthetic depth: scenes with hands, people and things, the rasteriser, the depth camera's faults, and hands in motion."""
