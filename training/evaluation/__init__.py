"""Evaluates bundles on data sets and sequences, with the original HandMap as a baseline."""
