"""Accuracy metrics: joint errors in mm, scores by kind of frame, and tracking scores."""
