"""Atomic file writes, and images."""
